//! The peer: reads what is sent on each connection in turn, as a load generator does, and asks for
//! the next one with a byte.

use std::io;
use std::io::Read;
use std::io::Write;
use std::net::TcpStream;
use std::thread;
use std::thread::JoinHandle;

/// Reads `answer_bytes` from each connection in turn, `read_bytes` at most at once, until the other
/// end closes. The thread runs on this CPU.
pub fn start(
    mut connections: Vec<TcpStream>,
    answer_bytes: usize,
    read_bytes: usize,
    cpu: usize,
) -> JoinHandle<io::Result<()>> {
    thread::spawn(move || {
        super::course::pin(cpu)?;
        let mut buffer = vec![0; read_bytes];
        for connection in &mut connections {
            connection.write_all(b"x")?;
        }
        loop {
            for connection in &mut connections {
                let mut left = answer_bytes;
                while left > 0 {
                    match connection.read(&mut buffer)? {
                        0 => return Ok(()),
                        read => left -= read.min(left),
                    }
                }
                if connection.write_all(b"x").is_err() {
                    return Ok(());
                }
            }
        }
    })
}
