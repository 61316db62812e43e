//! Where media comes from: camera, microphone, synthetic pattern and voice, files, pipes.
