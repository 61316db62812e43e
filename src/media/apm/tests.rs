//! What the processor must do, in one synthetic room.
