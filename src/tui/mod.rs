//! The call screen: model, update, views, keys, strings.
