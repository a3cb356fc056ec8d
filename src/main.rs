//! The program: arguments to settings to `server::run`.

fn main() {}
