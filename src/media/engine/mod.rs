//! Every media step from source to coded frame and back; never names the call.
