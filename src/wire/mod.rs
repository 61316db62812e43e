//! Every byte layout, encode and decode only. Anything a peer can send is parsed into a whole
//! value or refused; nothing here has state, a clock or a key.

pub mod link;
