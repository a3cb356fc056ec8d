//! The loop of one connection: read, parse, route, answer, send; the only room that touches a
//! client's socket.

pub mod lifecycle;
