//! Companion threads: the hand-over of requests from a lane's I/O thread to its Python threads.
//!
//! It owns the bounded queue and the decision how many threads serve it. One hot thread serves a
//! lane as long as it can; a further one is woken or started only when the oldest waiting request
//! has waited for [`limits::PYTHON_THREAD_WAIT`], for then the others are likely blocked in I/O. So
//! an application that computes has no threads that fight for the GIL, and one that waits for
//! databases has as many as it needs. The room knows nothing of WSGI.
//!
//! What the threads share is never freed, as they live as long as the process.

use crate::limits;
use crate::python::AppSpec;
use crate::python::Busy;
use crate::python::Place;
use crate::python::WsgiRequest;
use crate::python::application;
use crate::python::application::SharedApplication;
use crate::python::call::Call;
use crate::python::call::Step;
use crate::python::fault::PythonFault;
use crate::python::interpreter::Attached;
use crate::python::interpreter::Interpreter;
use crate::python::interpreter::PythonThread;
use crate::python::runtime::Runtime;
use crate::python::start_response::Patience;
use crate::python::thread;
use crate::response::stream;
use crate::response::stream::Begin;
use crate::response::stream::Consumer;
use crate::response::stream::Producer;
use crossbeam_channel::Receiver;
use crossbeam_channel::RecvTimeoutError;
use crossbeam_channel::Sender;
use std::cell::Cell;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::rc::Rc;
use std::sync::atomic::AtomicUsize;
use std::sync::atomic::Ordering;
use std::time::Instant;

/// The I/O thread's side: one application's companion threads.
#[derive(Debug)]
pub(super) struct Companions {
    jobs: Sender<Job>,
    crew: Rc<Crew>,
}

/// A request on its way to a Python thread.
#[derive(Debug)]
struct Job {
    request: WsgiRequest,
    producer: Producer,
}

impl Companions {
    /// Makes the interpreter and imports the application, on the first Python thread.
    pub(super) fn start(
        runtime: &Runtime,
        app: &AppSpec,
        place: Place,
    ) -> Result<Self, PythonFault> {
        let (jobs, waiting_jobs) = crossbeam_channel::bounded(limits::PYTHON_QUEUE_MAX);
        let threads_max = app.threads.clamp(1, limits::PYTHON_THREADS_MAX);
        let (wake, woken) = crossbeam_channel::bounded(threads_max);
        let (ready, wait) = crossbeam_channel::bounded(1);
        let spec = app.clone();
        let turn = runtime.one_at_a_time();
        thread::spawn(place, thread::name(place, 0), move || {
            let started = Interpreter::new().and_then(|(interpreter, mut thread)| {
                let application = application::load(&thread.attach(), &spec, place)?;
                Ok((interpreter, thread, application))
            });
            match started {
                Ok((interpreter, thread, application)) => {
                    let shared: &Shared = Box::leak(Box::new(Shared {
                        interpreter,
                        application,
                        place,
                        jobs: waiting_jobs,
                        woken,
                        standing: AtomicUsize::new(0),
                        parked: AtomicUsize::new(0),
                    }));
                    let _ = ready.send(Ok(shared));
                    serve_jobs(shared, thread, 0);
                }
                Err(fault) => {
                    let _ = ready.send(Err(fault));
                }
            }
        })?;
        let shared = await_import(&wait, app)?;
        drop(turn);
        let crew = Crew {
            shared,
            wake,
            threads: Cell::new(1),
            threads_max,
            sent: RefCell::new(VecDeque::new()),
            watch: Cell::new(Watch::Off),
            cleared_out: Cell::new(None),
        };
        Ok(Self { jobs, crew: Rc::new(crew) })
    }

    /// Hands a request to the Python threads.
    pub(super) fn call(&self, request: WsgiRequest) -> Result<Consumer, Busy> {
        let (producer, consumer) = stream::bounded();
        if let Err(full) = self.jobs.try_send(Job { request, producer }) {
            self.crew.clear_out(&self.jobs);
            self.jobs.try_send(full.into_inner()).map_err(|_| Busy)?;
        }
        self.crew.note_sent();
        if self.crew.watch.replace(Watch::On) == Watch::Off {
            tokio::task::spawn_local(watch(Rc::clone(&self.crew)));
        }
        Ok(consumer)
    }

    /// See [`thread::finish`].
    pub(super) fn stop(&self, deadline: Instant) {
        let Shared { interpreter, application, place, .. } = self.crew.shared;
        thread::finish(*interpreter, application, *place, deadline);
    }
}

fn await_import(
    wait: &Receiver<Result<&'static Shared, PythonFault>>,
    app: &AppSpec,
) -> Result<&'static Shared, PythonFault> {
    loop {
        match wait.recv_timeout(limits::IMPORT_NOTICE_TIME) {
            Ok(started) => return started,
            Err(RecvTimeoutError::Timeout) => {
                tracing::warn!("application {:?}: still importing {:?}", app.name, app.target);
            }
            Err(RecvTimeoutError::Disconnected) => {
                let reason = "it ended while it imported the application".to_owned();
                return Err(PythonFault::Thread { reason });
            }
        }
    }
}

/// The I/O thread's view of the Python threads.
#[derive(Debug)]
struct Crew {
    shared: &'static Shared,
    wake: Sender<()>,
    threads: Cell<usize>,
    threads_max: usize,
    /// When the jobs that may still wait were sent, the oldest first. The queue is first in, first
    /// out, so as many of the last entries count as jobs are in it.
    sent: RefCell<VecDeque<Instant>>,
    watch: Cell<Watch>,
    /// When jobs that nobody wants were last looked for.
    cleared_out: Cell<Option<Instant>>,
}

/// Whether the task runs that looks for waiting jobs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watch {
    Off,
    On,
}

impl Crew {
    fn note_sent(&self) {
        let mut sent = self.sent.borrow_mut();
        sent.push_back(Instant::now());
        let waiting = self.shared.jobs.len();
        while sent.len() > waiting {
            sent.pop_front();
        }
    }

    /// Throws away the waiting jobs whose clients have left; the others keep their order. Not
    /// often: it looks at all of them, and who has left shows only with a sweep over the deadlines.
    fn clear_out(&self, jobs: &Sender<Job>) {
        let now = Instant::now();
        let rests = |last| now.duration_since(last) < limits::DEADLINE_TICK;
        if self.cleared_out.get().is_some_and(rests) {
            return;
        }
        self.cleared_out.set(Some(now));
        for _ in 0..self.shared.jobs.len() {
            let Ok(job) = self.shared.jobs.try_recv() else { return };
            if job.producer.is_wanted() {
                // Nobody else sends, so its place is still free.
                let _ = jobs.try_send(job);
            }
        }
    }

    /// When the oldest waiting job was sent.
    fn oldest_sent(&self) -> Option<Instant> {
        let mut sent = self.sent.borrow_mut();
        let waiting = self.shared.jobs.len();
        while sent.len() > waiting {
            sent.pop_front();
        }
        sent.front().copied()
    }

    /// Wakes a Python thread that is parked, or starts one.
    fn add_thread(&self) {
        if self.shared.parked.load(Ordering::SeqCst) > 0 {
            // Full: as many threads have been woken already.
            let _ = self.wake.try_send(());
            return;
        }
        let number = self.threads.get();
        if number >= self.threads_max {
            return;
        }
        let shared = self.shared;
        let spawned = thread::spawn(shared.place, thread::name(shared.place, number), move || {
            serve_jobs(shared, PythonThread::new(shared.interpreter), number);
        });
        match spawned {
            Ok(()) => self.threads.set(number + 1),
            Err(fault) => tracing::error!("{fault}"),
        }
    }
}

/// Lives while requests wait, on the I/O thread. An idle lane has no such task and no timer.
async fn watch(crew: Rc<Crew>) {
    tokio::time::sleep(limits::PYTHON_THREAD_WAIT).await;
    while let Some(oldest) = crew.oldest_sent() {
        let waited = oldest.elapsed();
        let missing = limits::PYTHON_THREAD_WAIT.saturating_sub(waited);
        if missing.is_zero() {
            crew.add_thread();
            tokio::time::sleep(limits::PYTHON_THREAD_WAIT).await;
        } else {
            tokio::time::sleep(missing).await;
        }
    }
    crew.watch.set(Watch::Off);
}

/// What the Python threads of one application and lane share.
#[derive(Debug)]
struct Shared {
    interpreter: Interpreter,
    application: SharedApplication,
    place: Place,
    jobs: Receiver<Job>,
    woken: Receiver<()>,
    /// The number, plus one, of the one idle thread that waits for jobs; 0: none does.
    standing: AtomicUsize,
    /// Idle threads that wait to be woken.
    parked: AtomicUsize,
}

/// A Python thread's life. It holds the GIL while jobs wait, and gives it up to wait for one.
fn serve_jobs(shared: &'static Shared, mut thread: PythonThread, number: usize) {
    let mut attached = thread.attach();
    let name = thread::name(shared.place, number);
    shared.application.get(&attached).adopt_thread(&attached, &name);
    loop {
        let job = match shared.jobs.try_recv() {
            Ok(job) => job,
            Err(_) => match attached.detached(|| wait_for_job(shared, number)) {
                Some(job) => job,
                None => return, // the gateway has stopped
            },
        };
        serve(&mut attached, shared.application, job);
    }
}

/// Of the idle threads only one waits for jobs, so that the same thread with its warm caches serves
/// a quiet lane. The others wait until `Crew::add_thread` wakes them.
fn wait_for_job(shared: &Shared, number: usize) -> Option<Job> {
    loop {
        let own = number + 1;
        let seat = &shared.standing;
        if seat.compare_exchange(0, own, Ordering::SeqCst, Ordering::SeqCst).is_ok() {
            let job = shared.jobs.recv();
            seat.store(0, Ordering::SeqCst);
            return job.ok();
        }
        shared.parked.fetch_add(1, Ordering::SeqCst);
        let woken = shared.woken.recv();
        shared.parked.fetch_sub(1, Ordering::SeqCst);
        woken.ok()?;
        if let Ok(job) = shared.jobs.try_recv() {
            return Some(job);
        }
    }
}

fn serve(attached: &mut Attached, application: SharedApplication, job: Job) {
    let Job { request, producer } = job;
    if producer.begin() == Begin::Gone {
        return; // the client has left while its request waited
    }
    let call = Call::begin(attached, application, request, producer, Patience::Wait);
    let Some(mut call) = call else { return };
    loop {
        match call.step(attached) {
            Step::Went => {}
            // Gone shows at the next step.
            Step::Full(room) => drop(attached.detached(|| room.wait())),
            Step::Ended => break,
        }
    }
    call.end(attached);
}
