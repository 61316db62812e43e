//! The call falls apart and comes together.

use super::*;
