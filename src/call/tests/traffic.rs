//! What it costs.

use super::*;
