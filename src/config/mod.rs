//! What the operator wants: flags, variables and the configuration file, checked and built.
//!
//! The way in is [`Arguments`] for what was typed and [`Settings::new`] for all of it together. It
//! gives [`Settings`], of which no value can be wrong, or one [`Mistake`] that says where, what and
//! how to mend it. It looks at the file system, opens no socket and starts nothing.

mod arguments;
mod binds;
mod command_line;
mod disk;
mod environment;
mod file;
mod hosts;
mod mistake;
mod owner;
mod policies;
mod prefix;
mod realms;
mod settings;
mod sites;
mod suggestion;
mod switch;
mod table;
mod value;
mod venv;
mod written;

pub use arguments::Arguments;
pub use arguments::Task;
pub use environment::Environment;
pub use mistake::Mistake;
pub use mistake::Place;
pub use settings::AccessLog;
pub use settings::App;
pub use settings::Bind;
pub use settings::BindAddress;
pub use settings::Io;
pub use settings::Lanes;
pub use settings::LogLevel;
pub use settings::Owner;
pub use settings::ProxyProtocol;
pub use settings::Settings;
pub use settings::UnixSocket;
pub use settings::Warning;
