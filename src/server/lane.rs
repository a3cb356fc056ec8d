//! One lane's life: pin, interpreters, ring, listeners; serve; drain; end. All of it on one thread.

use std::cell::RefCell;
use std::io;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Instant;

use core_affinity::CoreId;
use tokio::sync::watch;

use crate::access_log::AccessLog;
use crate::address::Address;
use crate::auth::Realm;
use crate::auth::RealmSpec;
use crate::config::App;
use crate::config::Io as IoChoice;
use crate::config::Settings;
use crate::connection;
use crate::connection::ProxyHeader;
use crate::connection::deadline::Deadlines;
use crate::connection::service::Service;
use crate::connection::service::Shortage;
use crate::connection::service::SitePolicy;
use crate::connection::service::State;
use crate::limits::ACCEPT_BATCH_MAX;
use crate::limits::ACCEPT_PAUSE;
use crate::limits::ACCESS_LOG_DELAY_MAX;
use crate::limits::CONNECTION_MEMORY_BYTES_MAX;
use crate::limits::CONNECTIONS_PER_LANE_MAX;
use crate::limits::EXIT_HANDLERS_TIME_MAX;
use crate::limits::IDLE_ENDED_MAX;
use crate::python;
use crate::python::AppSpec;
use crate::python::Gateway;
use crate::python::Place;
use crate::route::Router;
use crate::rules::Policy;
use crate::rules::Rules;
use crate::server::group::Listening;
use crate::server::scheduling;
use crate::server::startup::StartupError;
use crate::static_files::FileCache;
use crate::static_files::Files;
use crate::uring::Io;
use crate::uring::runtime::Runtime;
use crate::uring::socket::Listener;
use crate::uring::socket::would_block;
use crate::workshop::Workshop;

/// What a lane is told, in this order.
#[derive(Clone, Debug)]
pub(super) enum Command {
    /// Get ready.
    Prepare,
    /// Serve on the listeners that were handed over.
    Serve,
    /// Take nothing new, finish what is running.
    Drain,
    /// Cut what is still running.
    Cut,
}

/// Everything that a lane starts from. Made by the server, moved to the lane's thread.
pub(super) struct Plan {
    pub index: usize,
    pub core: Option<CoreId>,
    pub settings: Arc<Settings>,
    pub python: Option<Arc<python::Runtime>>,
    pub access_log: AccessLog,
    pub commands: watch::Receiver<Command>,
    /// Filled by the server before it says [`Command::Serve`].
    pub listeners: std::sync::mpsc::Receiver<Vec<Listening>>,
}

/// A lane that is ready to serve.
pub(super) struct Lane {
    plan: Plan,
    runtime: Runtime,
    apps: Vec<Gateway>,
    files: Vec<Files>,
    policies: Vec<SitePolicy>,
    realms: Vec<Realm>,
}

impl Lane {
    /// Pins the thread, makes the ring, opens the folders, imports the applications.
    pub(super) fn prepare(plan: Plan) -> Result<Self, StartupError> {
        if let Some(core) = plan.core
            && !core_affinity::set_for_current(core)
        {
            tracing::warn!(lane = plan.index, cpu = core.id, "could not pin the lane to its CPU");
        }
        let runtime = start_runtime(plan.settings.io, plan.index)?;
        if plan.settings.apps.iter().any(|app| app.threads > 0)
            && let Err(error) = scheduling::take_turns()
        {
            tracing::debug!(lane = plan.index, %error, "the lane's threads keep their scheduling");
        }
        let mut files = Vec::with_capacity(plan.settings.files.len());
        for (number, folder) in plan.settings.files.iter().enumerate() {
            let opened = Files::open(folder, number);
            files.push(opened.map_err(|error| StartupError::folder(&folder.root, error))?);
        }
        let policies = site_policies(&plan.settings)?;
        let realms = realms(&plan.settings)?;
        let mut apps = Vec::with_capacity(plan.settings.apps.len());
        for app in &plan.settings.apps {
            let Some(python) = &plan.python else { continue };
            let place = Place { lane: plan.index, core: plan.core };
            let gateway = Gateway::start(python, &spec(app), place)
                .map_err(|fault| StartupError::app(&app.name, &fault))?;
            apps.push(gateway);
        }
        Ok(Self { plan, runtime, apps, files, policies, realms })
    }

    /// What the lane waits on.
    pub(super) const fn io(&self) -> Io {
        self.runtime.io()
    }

    /// Serves until told to end, then runs the exit handlers of its interpreters.
    pub(super) fn run(self) -> io::Result<()> {
        let Self { plan, runtime, apps, files, policies, realms } = self;
        let Plan { settings, access_log, mut commands, listeners, .. } = plan;
        let service = Rc::new(Service {
            io: runtime.io(),
            router: Router::new(settings.sites.clone()),
            files,
            cache: RefCell::new(FileCache::new()),
            workshop: Workshop::new(),
            proving: Workshop::new(),
            reading: Workshop::new(),
            policies,
            realms,
            apps,
            deadlines: Deadlines::new(),
            access_log: RefCell::new(access_log),
            body_bytes_max: settings.body_bytes_max,
            idle_time_max: settings.idle_time_max,
            connections_max: CONNECTIONS_PER_LANE_MAX,
            connections_per_client_max: settings.connections_per_client_max,
            memory_bytes_max: CONNECTION_MEMORY_BYTES_MAX,
            proxies: settings.proxies.clone(),
            state: State::default(),
        });
        let served = runtime.block_on(serve(&service, &mut commands, &listeners));
        service.access_log.borrow_mut().flush();
        // Also where the task of a cut connection still waits for a view that does not end.
        let deadline = Instant::now() + EXIT_HANDLERS_TIME_MAX;
        for app in &service.apps {
            app.stop(deadline);
        }
        served
    }
}

/// Compiled by each lane for itself: the programs in them keep states of their own.
fn site_policies(settings: &Settings) -> Result<Vec<SitePolicy>, StartupError> {
    let compile = |policy: &Policy| {
        let rules = Rules::new(&policy.rules).map_err(StartupError::Policy)?;
        Ok(SitePolicy { rules, error_pages: policy.error_pages.clone() })
    };
    settings.policies.iter().map(compile).collect()
}

fn realms(settings: &Settings) -> Result<Vec<Realm>, StartupError> {
    let open = |spec: &RealmSpec| {
        Realm::new(spec).map_err(|(user, text)| StartupError::Policy(format!("{user}: {text}")))
    };
    settings.realms.iter().map(open).collect()
}

/// The application as the python room wants it told.
fn spec(app: &App) -> AppSpec {
    AppSpec {
        name: app.name.clone(),
        target: app.target.clone(),
        chdir: app.chdir.clone(),
        pythonpath: app.pythonpath.clone(),
        venv: app.venv.clone(),
        threads: app.threads,
    }
}

fn start_runtime(choice: IoChoice, lane: usize) -> Result<Runtime, StartupError> {
    let refused = match choice {
        IoChoice::Epoll => return Runtime::epoll().map_err(StartupError::Runtime),
        IoChoice::Uring | IoChoice::Auto => match Runtime::ring() {
            Ok(runtime) => return Ok(runtime),
            Err(error) => error,
        },
    };
    if choice == IoChoice::Uring {
        return Err(StartupError::Ring(refused));
    }
    if lane == 0 {
        tracing::warn!(
            error = %refused,
            "the kernel refuses io_uring: serving through epoll. Containers: allow io_uring_setup, \
             io_uring_enter and io_uring_register in the seccomp profile; hosts: see \
             kernel.io_uring_disabled"
        );
    }
    Runtime::epoll().map_err(StartupError::Runtime)
}

async fn serve(
    service: &Rc<Service>,
    commands: &mut watch::Receiver<Command>,
    listeners: &std::sync::mpsc::Receiver<Vec<Listening>>,
) -> io::Result<()> {
    // A server that failed to start elsewhere drops its end without a command. A lane that is late
    // may see Drain first, as only the last command stays: it takes what is in the queue, and ends.
    if commands.wait_for(|command| !matches!(command, Command::Prepare)).await.is_err() {
        return Ok(());
    }
    let mut accepting = Vec::new();
    for Listening { fd, proxy_header } in listeners.try_recv().unwrap_or_default() {
        let listener = Listener::new(service.io, fd)?;
        let task = accept(Rc::clone(service), listener, proxy_header, commands.clone());
        accepting.push(tokio::task::spawn_local(task));
    }
    let sweep = Rc::clone(&service.deadlines).sweep(service.memory_bytes_max, service.io);
    let beside = [
        tokio::task::spawn_local(sweep),
        tokio::task::spawn_local(Rc::clone(service).close_ended()),
        tokio::task::spawn_local(flush_access_log(Rc::clone(service))),
    ];
    // Only Drain and Cut follow; a server that is gone means the same.
    let _ = commands.wait_for(|command| !matches!(command, Command::Serve)).await;
    // The idle connections first: accepting what is left may be waiting for their descriptors.
    service.drain();
    for task in accepting {
        let _ = task.await;
    }
    while service.open_count() > 0 {
        tokio::select! {
            () = service.closed() => {}
            _ = commands.wait_for(|command| matches!(command, Command::Cut)) => break,
        }
    }
    service.deadlines.end_all();
    for task in beside {
        task.abort();
        // It lets go of the service when it has seen that it is ended.
        let _ = task.await;
    }
    Ok(())
}

/// Accepts until the lane drains, then takes what is left in the queue: those clients were told
/// that they are connected. Leaves them when the lane is cut.
async fn accept(
    service: Rc<Service>,
    listener: Listener,
    proxy_header: ProxyHeader,
    mut commands: watch::Receiver<Command>,
) {
    let batch_max = match listener.local() {
        Address::Ip(_) => ACCEPT_BATCH_MAX,
        Address::Unix => 1, // the queue is that of all lanes
    };
    let mut batch = 0;
    loop {
        let draining = match *commands.borrow() {
            Command::Cut => return,
            Command::Drain => true,
            Command::Prepare | Command::Serve => false,
        };
        if service.is_full() && !draining {
            if let Err(error) = make_room(&service, &listener, &mut commands).await {
                pause_after(&listener, &error).await;
            }
            continue;
        }
        let waited = match listener.accept_now() {
            Ok((socket, peer)) => {
                let local = listener.local();
                let own = Rc::clone(&service);
                let connection = connection::serve(own, socket, peer, local, proxy_header);
                if let Some(connection) = connection {
                    tokio::task::spawn_local(connection);
                }
                batch += 1;
                if batch < batch_max {
                    continue;
                }
                service.io.give_way().await;
                Ok(())
            }
            Err(error) if would_block(error.kind()) && draining => return,
            Err(error) if would_block(error.kind()) => {
                tokio::select! {
                    waited = listener.readable() => waited,
                    _ = commands.changed() => Ok(()),
                }
            }
            Err(error) if is_about_one_connection(&error) => {
                batch += 1;
                if batch < ACCEPT_BATCH_MAX {
                    continue;
                }
                service.io.give_way().await;
                Ok(())
            }
            Err(error) => {
                if service.notices(Shortage::Descriptors) {
                    tracing::warn!(%error, "cannot accept connections just now: idle ones end");
                }
                service.release_descriptors();
                wait_for_place(&service).await;
                Ok(())
            }
        };
        batch = 0;
        if let Err(error) = waited {
            pause_after(&listener, &error).await;
        }
    }
}

/// At a bound: gives those who wait in the queue the places of those who have been idle for
/// longest, and waits for somebody to come or to go.
async fn make_room(
    service: &Service,
    listener: &Listener,
    commands: &mut watch::Receiver<Command>,
) -> io::Result<()> {
    if !listener.has_waiting() {
        return tokio::select! {
            waited = listener.readable() => waited,
            _ = commands.changed() => Ok(()),
        };
    }
    // What holds memory is not idle: where that is short, the sweep over the deadlines ends some.
    if service.open_count() >= service.connections_max {
        if service.notices(Shortage::Places) {
            tracing::warn!(
                connections = service.open_count(),
                "a lane has all the connections that it takes: idle ones end for new ones"
            );
        }
        service.deadlines.end_longest_idle(IDLE_ENDED_MAX);
    }
    tokio::select! {
        () = wait_for_place(service) => {}
        _ = commands.changed() => {}
    }
    Ok(())
}

/// Waits until a connection closes; not for long, as one may become idle meanwhile.
async fn wait_for_place(service: &Service) {
    tokio::select! {
        () = service.closed() => {}
        () = tokio::time::sleep(ACCEPT_PAUSE) => {}
    }
}

async fn pause_after(listener: &Listener, error: &io::Error) {
    tracing::error!(%error, address = %listener.local(), "a listener has failed");
    tokio::time::sleep(ACCEPT_PAUSE).await;
}

/// Errors that accept(2) passes on from a connection that died in the queue.
fn is_about_one_connection(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::ConnectionAborted
            | io::ErrorKind::ConnectionReset
            | io::ErrorKind::Interrupted
            | io::ErrorKind::NetworkDown
            | io::ErrorKind::NetworkUnreachable
            | io::ErrorKind::HostUnreachable
    )
}

async fn flush_access_log(service: Rc<Service>) {
    if matches!(*service.access_log.borrow(), AccessLog::Off) {
        return;
    }
    loop {
        tokio::time::sleep(ACCESS_LOG_DELAY_MAX).await;
        service.access_log.borrow_mut().flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;
    use std::io::Write;
    use std::net::SocketAddr;
    use std::net::TcpStream;
    use std::time::Duration;

    use crate::clock::Moment;
    use crate::limits::HEAD_TIME_MAX;
    use crate::server::listener;

    /// Serves on `listening`, told `commands` one after the other before the lane looks.
    fn serve_told(runtime: &Runtime, commands: &[Command], listening: Vec<Listening>) {
        let (say, mut hear) = watch::channel(Command::Prepare);
        for command in commands {
            say.send_replace(command.clone());
        }
        let (hand, handed) = std::sync::mpsc::channel();
        hand.send(listening).unwrap();
        runtime.block_on(async {
            let service = Service::bare(runtime.io());
            let served = serve(&service, &mut hear, &handed);
            let served = tokio::time::timeout(Duration::from_secs(20), served).await;
            served.expect("the lane ends").unwrap();
        });
    }

    #[test]
    fn a_lane_that_is_told_to_end_before_it_has_begun_ends() {
        for runtime in runtimes() {
            serve_told(&runtime, &[Command::Serve, Command::Drain], Vec::new());
        }
    }

    /// Each I/O that there is: where io_uring is refused there is nothing to try.
    fn runtimes() -> impl Iterator<Item = Runtime> {
        [Runtime::epoll(), Runtime::ring()].into_iter().flatten()
    }

    #[test]
    fn every_connection_in_the_queue_is_answered_before_the_end() {
        // The last batch is larger than what tokio runs in one turn; or it is full, and nothing is
        // behind it.
        for count in [5 * ACCEPT_BATCH_MAX - 1, 5 * ACCEPT_BATCH_MAX] {
            for runtime in runtimes() {
                let bound = listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
                let address = bound.address();
                let listening = bound.listen().unwrap();
                let mut clients: Vec<TcpStream> = (0..count)
                    .map(|_| {
                        let mut client = TcpStream::connect(address).unwrap();
                        client.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                        client
                    })
                    .collect();
                let listening = Listening { fd: listening, proxy_header: ProxyHeader::Absent };
                serve_told(&runtime, &[Command::Serve, Command::Drain], vec![listening]);
                for client in &mut clients {
                    let mut answer = Vec::new();
                    client.read_to_end(&mut answer).unwrap();
                    assert!(answer.starts_with(b"HTTP/1.1 404 "), "{}", answer.escape_ascii());
                }
            }
        }
    }

    /// Serves within these bounds, with either I/O, while `clients` runs on a thread of its own.
    fn serve_while(
        adjust: impl Fn(&mut Service),
        clients: impl FnOnce(SocketAddr) + Clone + Send + 'static,
    ) {
        for runtime in runtimes() {
            let bound = listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
            let address = bound.address();
            let (say, mut hear) = watch::channel(Command::Serve);
            let (hand, handed) = std::sync::mpsc::channel();
            let listening =
                Listening { fd: bound.listen().unwrap(), proxy_header: ProxyHeader::Absent };
            hand.send(vec![listening]).unwrap();
            let clients = clients.clone();
            runtime.block_on(async {
                let service = Service::bare_with(runtime.io(), &adjust);
                let ran = async {
                    let ran = tokio::task::spawn_blocking(move || clients(address)).await;
                    say.send_replace(Command::Drain);
                    ran
                };
                let served = tokio::time::timeout(PATIENCE, serve(&service, &mut hear, &handed));
                let (served, ran) = tokio::join!(served, ran);
                ran.unwrap();
                served.expect("the lane ends").unwrap();
                assert_eq!(service.open_count(), 0);
            });
        }
    }

    const PATIENCE: Duration = Duration::from_secs(20);

    fn connect(address: SocketAddr) -> TcpStream {
        let client = TcpStream::connect(address).unwrap();
        client.set_read_timeout(Some(PATIENCE)).unwrap();
        client
    }

    /// A request on a kept connection, and its answer to the last byte.
    fn ask(client: &TcpStream) {
        ask_with("HEAD / HTTP/1.1\r\nHost: x\r\n\r\n", client);
    }

    fn ask_with(request: &str, mut client: &TcpStream) {
        client.write_all(request.as_bytes()).unwrap();
        let mut answer = Vec::new();
        while !answer.ends_with(b"\r\n\r\n") {
            let mut byte = [0];
            assert_eq!(client.read(&mut byte).unwrap(), 1, "{}", answer.escape_ascii());
            answer.push(byte[0]);
        }
        assert!(answer.starts_with(b"HTTP/1.1 404 "), "{}", answer.escape_ascii());
    }

    #[test]
    fn idle_connections_make_room_for_new_ones_where_all_places_are_taken() {
        const PLACES: usize = 2 * IDLE_ENDED_MAX;
        let adjust = |service: &mut Service| service.connections_max = PLACES;
        serve_while(adjust, |address| {
            let first: Vec<TcpStream> = (0..PLACES).map(|_| connect(address)).collect();
            let (ended, others) = first.split_at(IDLE_ENDED_MAX);
            first.iter().for_each(ask);
            // The clock is coarse, and what is equally old ends in any order.
            let asked = Moment::now();
            while Moment::now().since(asked).is_zero() {
                std::thread::yield_now();
            }
            others.iter().for_each(ask);
            let further = connect(address);
            ask(&further);
            for (place, client) in ended.iter().enumerate() {
                let ended = client.peek(&mut [0]);
                assert!(matches!(ended, Ok(0)), "{place} was idle for longer: {ended:?}");
            }
            others.iter().for_each(ask);
            ask(&further);
        });
    }

    #[test]
    fn connections_that_hold_too_much_memory_together_make_room_for_others() {
        let adjust = |service: &mut Service| service.memory_bytes_max = 100_000;
        serve_while(adjust, |address| {
            let start = Instant::now();
            // Each needs a buffer of 24 KiB, and would have 15 seconds.
            let head = format!("GET / HTTP/1.1\r\nX: {}", "x".repeat(20_000));
            let heads: Vec<TcpStream> = (0..20)
                .map(|_| {
                    let client = connect(address);
                    (&client).write_all(head.as_bytes()).unwrap();
                    client
                })
                .collect();
            let next = connect(address);
            ask(&next);
            // Whichever of them came first.
            let mut late = 0;
            for mut client in &heads {
                client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
                let mut answer = Vec::new();
                if client.read_to_end(&mut answer).is_ok() {
                    assert!(answer.starts_with(b"HTTP/1.1 408 "), "{}", answer.escape_ascii());
                    late += 1;
                }
            }
            assert!((12..20).contains(&late), "{late} of 20 have ended");
            assert!(start.elapsed() < HEAD_TIME_MAX, "their own time is not over");
            ask(&next);
        });
    }

    #[test]
    fn where_none_is_idle_new_connections_wait_for_a_place() {
        let adjust = |service: &mut Service| {
            service.connections_max = 2;
            service.body_bytes_max = 1;
        };
        serve_while(adjust, |address| {
            let busy = [connect(address), connect(address)];
            for client in &busy {
                // Answered, but its body is still waited for.
                ask_with("HEAD / HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n", client);
            }
            let waiting = connect(address);
            (&waiting).write_all(b"HEAD / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            waiting.set_read_timeout(Some(5 * ACCEPT_PAUSE)).unwrap();
            let answer = waiting.peek(&mut [0]);
            assert!(answer.is_err(), "both places are taken, but: {answer:?}");
            let [leaving, staying] = busy;
            drop(leaving);
            waiting.set_read_timeout(Some(PATIENCE)).unwrap();
            assert_eq!(waiting.peek(&mut [0]).unwrap(), 1);
            (&staying).write_all(b"x").unwrap();
            ask(&staying);
        });
    }

    #[test]
    fn a_connection_counts_before_its_first_turn() {
        Runtime::epoll().unwrap().block_on(async {
            let bound = listener::bind("127.0.0.1:0".parse().unwrap(), 1).unwrap().remove(0);
            let address = bound.address();
            let listener = Listener::new(Io::Epoll, bound.listen().unwrap()).unwrap();
            let _client = TcpStream::connect(address).unwrap();
            let (socket, peer) = listener.accept_now().unwrap();
            let service = Service::bare(Io::Epoll);
            let local = listener.local();
            let own = Rc::clone(&service);
            let connection = connection::serve(own, socket, peer, local, ProxyHeader::Absent);
            assert!(connection.is_some());
            assert_eq!(service.open_count(), 1);
            drop(connection);
            assert_eq!(service.open_count(), 0);
        });
    }
}
