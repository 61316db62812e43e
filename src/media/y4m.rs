//! YUV4MPEG2, the uncompressed video format: parser and writer.
