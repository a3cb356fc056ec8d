//! The listening unix sockets: the file that each has, who may open it, and when it is removed.
//!
//! SO_REUSEPORT does not exist for them, so one socket is shared by all lanes, each with a
//! descriptor of its own. A file is removed in two cases: it is a socket that nobody listens on, or
//! it is the very one that was made here.

use std::fs;
use std::fs::Permissions;
use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::fs::MetadataExt;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::fs::lchown;
use std::path::Path;
use std::path::PathBuf;

use socket2::Domain;
use socket2::SockAddr;
use socket2::Socket;
use socket2::Type;

use crate::config::UnixSocket;
use crate::limits::BACKLOG;

/// The file of a socket that was made here. Removes it when dropped, unless another file has taken
/// its place.
pub(super) struct SocketFile {
    path: PathBuf,
    identity: Identity,
}

/// Device and inode.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Identity(u64, u64);

/// What is at a path where a socket shall be.
#[derive(Debug, PartialEq, Eq)]
enum Found {
    Nothing,
    /// A socket that nobody listens on: what a server leaves that was killed.
    Stale,
}

/// Looks whether the socket can be made, and makes nothing.
///
/// # Errors
///
/// `AddrInUse` where somebody listens, `AlreadyExists` where there is another kind of file, and
/// what stat(2) and connect(2) say.
pub(super) fn check(socket: &UnixSocket) -> io::Result<()> {
    look(&socket.path).map(drop)
}

/// Makes the socket and listens: `count` descriptors for one queue. The file has its owner and its
/// mode before anybody can connect.
///
/// Binding and listening follow each other at once: a socket that is bound and does not listen
/// looks stale to the next server.
///
/// # Errors
///
/// As [`check`], and what bind(2), chown(2), chmod(2) and listen(2) say.
pub(super) fn listen(socket: &UnixSocket, count: usize) -> io::Result<(Vec<OwnedFd>, SocketFile)> {
    let UnixSocket { path, mode, owner } = socket;
    if look(path)? == Found::Stale {
        fs::remove_file(path)?;
    }
    let listening = open()?;
    listening.bind(&SockAddr::unix(path)?)?;
    let file = SocketFile { path: path.clone(), identity: identity(path)? };
    if owner.user.is_some() || owner.group.is_some() {
        lchown(path, owner.user, owner.group)?;
    }
    fs::set_permissions(path, Permissions::from_mode(*mode))?;
    listening.listen(BACKLOG)?;
    let first = OwnedFd::from(listening);
    let mut descriptors = Vec::with_capacity(count);
    for _ in 1..count {
        descriptors.push(first.try_clone()?);
    }
    descriptors.push(first);
    Ok((descriptors, file))
}

fn look(path: &Path) -> io::Result<Found> {
    match fs::symlink_metadata(path) {
        Ok(found) if found.file_type().is_socket() => {}
        Ok(_) => {
            let text = "there is a file that is no socket: remove it, or choose another path";
            return Err(io::Error::new(io::ErrorKind::AlreadyExists, text));
        }
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    }
    match open()?.connect(&SockAddr::unix(path)?) {
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(Found::Stale),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Found::Nothing),
        // EAGAIN: the queue of whoever listens there is full.
        Err(error) if error.kind() != io::ErrorKind::WouldBlock => Err(error),
        _ => Err(io::ErrorKind::AddrInUse.into()),
    }
}

/// Non-blocking: connecting to a full queue would wait.
fn open() -> io::Result<Socket> {
    let socket = Socket::new(Domain::UNIX, Type::STREAM, None)?;
    socket.set_nonblocking(true)?;
    Ok(socket)
}

fn identity(path: &Path) -> io::Result<Identity> {
    fs::symlink_metadata(path).map(|found| Identity(found.dev(), found.ino()))
}

impl Drop for SocketFile {
    fn drop(&mut self) {
        if identity(&self.path).is_ok_and(|found| found == self.identity)
            && let Err(error) = fs::remove_file(&self.path)
        {
            tracing::warn!(%error, path = %self.path.display(), "a socket was left behind");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Owner;
    use std::io::Read;
    use std::io::Write;
    use std::os::unix::net::UnixDatagram;
    use std::os::unix::net::UnixListener;
    use std::os::unix::net::UnixStream;

    fn socket(folder: &tempfile::TempDir) -> UnixSocket {
        let path = folder.path().join("a.sock");
        UnixSocket { path, mode: 0o600, owner: Owner::default() }
    }

    fn kind(result: io::Result<impl Sized>) -> Option<io::ErrorKind> {
        result.err().map(|error| error.kind())
    }

    #[test]
    fn one_queue_has_a_descriptor_for_each_lane_and_its_file_goes_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let socket = socket(&folder);
        check(&socket).unwrap();
        assert!(!socket.path.exists(), "checking makes nothing");
        let (descriptors, file) = listen(&socket, 3).unwrap();
        assert_eq!(descriptors.len(), 3);
        let mode = fs::metadata(&socket.path).unwrap().mode();
        assert_eq!(mode & 0o7777, 0o600);
        for descriptor in descriptors {
            let listener = UnixListener::from(descriptor);
            let mut client = UnixStream::connect(&socket.path).unwrap();
            let (mut accepted, _) = listener.accept().unwrap();
            client.write_all(b"x").unwrap();
            let mut byte = [0];
            accepted.read_exact(&mut byte).unwrap();
        }
        drop(file);
        assert!(!socket.path.exists());
    }

    #[test]
    fn the_owner_may_be_named() {
        let folder = tempfile::tempdir().unwrap();
        let found = fs::metadata(folder.path()).unwrap();
        let owner = Owner { user: Some(found.uid()), group: Some(found.gid()) };
        let socket = UnixSocket { owner, ..socket(&folder) };
        let _listening = listen(&socket, 1).unwrap();
        let made = fs::metadata(&socket.path).unwrap();
        assert_eq!((made.uid(), made.gid()), (found.uid(), found.gid()));
        if found.uid() == 0 {
            let owner = Owner { user: Some(12), group: Some(34) };
            let other = UnixSocket { path: folder.path().join("b.sock"), mode: 0o660, owner };
            let _listening = listen(&other, 1).unwrap();
            let made = fs::metadata(&other.path).unwrap();
            assert_eq!((made.uid(), made.gid()), (12, 34));
        }
    }

    #[test]
    fn a_stale_socket_gives_way_and_a_living_one_does_not() {
        let folder = tempfile::tempdir().unwrap();
        let socket = socket(&folder);
        drop(UnixListener::bind(&socket.path).unwrap());
        assert!(socket.path.exists(), "it was left behind");
        check(&socket).unwrap();
        assert!(socket.path.exists(), "checking removes nothing");
        let (_descriptors, file) = listen(&socket, 1).unwrap();
        assert_eq!(kind(check(&socket)), Some(io::ErrorKind::AddrInUse));
        assert_eq!(kind(listen(&socket, 1)), Some(io::ErrorKind::AddrInUse));
        UnixStream::connect(&socket.path).unwrap();
        drop(file);
    }

    #[test]
    fn a_full_queue_is_no_sign_of_death() {
        let folder = tempfile::tempdir().unwrap();
        let socket = socket(&folder);
        let listening = open().unwrap();
        listening.bind(&SockAddr::unix(&socket.path).unwrap()).unwrap();
        listening.listen(0).unwrap();
        let mut waiting = Vec::new();
        let full = loop {
            let client = open().unwrap();
            match client.connect(&SockAddr::unix(&socket.path).unwrap()) {
                Ok(()) => waiting.push(client),
                Err(error) => break error.kind(),
            }
        };
        assert_eq!(full, io::ErrorKind::WouldBlock);
        assert_eq!(kind(listen(&socket, 1)), Some(io::ErrorKind::AddrInUse));
        assert!(socket.path.exists());
    }

    #[test]
    fn nothing_else_is_ever_removed() {
        let folder = tempfile::tempdir().unwrap();
        let socket = socket(&folder);
        let in_the_way = |socket: &UnixSocket| {
            assert!(kind(check(socket)).is_some());
            assert!(kind(listen(socket, 1)).is_some());
            assert!(fs::symlink_metadata(&socket.path).is_ok(), "it is still there");
        };
        fs::write(&socket.path, "text").unwrap();
        in_the_way(&socket);
        fs::remove_file(&socket.path).unwrap();
        fs::create_dir(&socket.path).unwrap();
        in_the_way(&socket);
        fs::remove_dir(&socket.path).unwrap();
        // A link to a stale socket is somebody's link.
        drop(UnixListener::bind(folder.path().join("stale")).unwrap());
        std::os::unix::fs::symlink("stale", &socket.path).unwrap();
        in_the_way(&socket);
        fs::remove_file(&socket.path).unwrap();
        // Another kind of socket, such as that of a log.
        let _log = UnixDatagram::bind(&socket.path).unwrap();
        in_the_way(&socket);
    }

    #[test]
    fn a_file_that_has_taken_the_place_of_ours_stays() {
        let folder = tempfile::tempdir().unwrap();
        let socket = socket(&folder);
        let (_descriptors, file) = listen(&socket, 1).unwrap();
        // Ours still exists under another name, so that its inode is not used again.
        fs::rename(&socket.path, folder.path().join("ours")).unwrap();
        let _other = UnixListener::bind(&socket.path).unwrap();
        drop(file);
        UnixStream::connect(&socket.path).expect("the other one still listens");
    }
}
