//! Work that takes long, off the lane's I/O thread: compressing a file, checking a password,
//! reading a folder, and where there is no ring, reading from a disk that may be slow.
//!
//! A job goes in, what it gives comes out; what it does is not known here. The threads are the
//! lane's own, on its CPU, and go last there: they inherit the lane's pinning and its scheduling
//! policy, and are nicer than it. They start when there is more to do than there are threads.
//!
//! Not tokio's `spawn_blocking`: that panics where the process may start no further thread, and
//! its runtime does not end before the last job does. These threads are joined by nobody: a job
//! that hangs for ever (a network file system whose server is gone) keeps neither the lane nor the
//! process from ending, which `_exit` does with the thread inside.

use std::cell::Cell;
use std::rc::Rc;
use std::thread;

use crossbeam_channel::Receiver;
use crossbeam_channel::Sender;
use tokio::sync::Semaphore;
use tokio::sync::oneshot;

use crate::limits::WORKSHOP_JOBS_MAX;
use crate::limits::WORKSHOP_QUEUE_MAX;

/// The threads of one lane for work that takes long, and the queue before them.
pub struct Workshop {
    shop: Rc<Shop>,
}

/// There are as many jobs as the workshop takes, or no thread to be had for the first of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Busy;

type Job = Box<dyn FnOnce() + Send>;

struct Shop {
    jobs_max: usize,
    waiting_max: usize,
    /// One for each job that may begin. Whoever waited first goes first.
    places: Semaphore,
    waiting: Cell<usize>,
    running: Cell<usize>,
    threads: Cell<usize>,
    /// Ends with the workshop, and the threads with it.
    jobs: Sender<Job>,
    taken: Receiver<Job>,
}

impl Default for Workshop {
    fn default() -> Self {
        Self::new()
    }
}

impl Workshop {
    /// With a lane's bounds: no thread yet.
    #[must_use]
    pub fn new() -> Self {
        Self::with_bounds(WORKSHOP_JOBS_MAX, WORKSHOP_QUEUE_MAX)
    }

    /// For so many jobs at a time, and so many that wait.
    #[must_use]
    pub fn with_bounds(jobs_max: usize, waiting_max: usize) -> Self {
        // A job has a place before it is handed over, so there is room for it.
        let (jobs, taken) = crossbeam_channel::bounded(jobs_max);
        let shop = Shop {
            jobs_max,
            waiting_max,
            places: Semaphore::new(jobs_max),
            waiting: Cell::new(0),
            running: Cell::new(0),
            threads: Cell::new(0),
            jobs,
            taken,
        };
        Self { shop: Rc::new(shop) }
    }

    /// Runs `job` on a thread of the workshop and gives what it gives.
    ///
    /// When the future is dropped, a job that has not begun never begins; one that has goes on to
    /// its end, and has its place until then. Needs a `LocalSet`, which each lane's runtime has.
    ///
    /// # Errors
    ///
    /// [`Busy`] at once where the queue is full or no thread can be started.
    pub async fn run<T: Send + 'static>(
        &self,
        job: impl FnOnce() -> T + Send + 'static,
    ) -> Result<T, Busy> {
        let place = self.shop.enter().await?;
        let (tell, told) = oneshot::channel();
        place.shop.hand_over(Box::new(move || {
            // Nobody listens when the lane has ended.
            let _ = tell.send(job());
        }))?;
        // A task of its own, so that the place outlives whoever asked.
        let ended = tokio::task::spawn_local(async move {
            let told = told.await;
            drop(place);
            told
        });
        // Unsaid is what a job gives only when it has panicked, which ends the process.
        ended.await.map_err(|_| Busy)?.map_err(|_| Busy)
    }
}

/// The right to run one job.
struct Place {
    shop: Rc<Shop>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.shop.running.update(|running| running - 1);
        self.shop.places.add_permits(1);
    }
}

/// A turn in the queue.
struct Turn<'s>(&'s Shop);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        self.0.waiting.update(|waiting| waiting - 1);
    }
}

impl Shop {
    async fn enter(self: &Rc<Self>) -> Result<Place, Busy> {
        let permit = match self.places.try_acquire() {
            Ok(permit) => permit,
            Err(_) if self.waiting.get() >= self.waiting_max => return Err(Busy),
            Err(_) => {
                self.waiting.update(|waiting| waiting + 1);
                let _turn = Turn(self);
                self.places.acquire().await.map_err(|_| Busy)?
            }
        };
        permit.forget(); // the place gives it back
        self.running.update(|running| running + 1);
        Ok(Place { shop: Rc::clone(self) })
    }

    fn hand_over(&self, job: Job) -> Result<(), Busy> {
        // `running` counts this job too.
        if self.threads.get() < self.running.get().min(self.jobs_max) {
            self.start_thread();
        }
        if self.threads.get() == 0 {
            return Err(Busy);
        }
        self.jobs.try_send(job).map_err(|_| Busy)
    }

    fn start_thread(&self) {
        let taken = self.taken.clone();
        let thread = thread::Builder::new().name("corelane-work".to_owned());
        match thread.spawn(move || work(&taken)) {
            Ok(_) => self.threads.update(|threads| threads + 1),
            // The threads that there are take the job when they have time.
            Err(error) => tracing::warn!(%error, "cannot start a thread for long work"),
        }
    }
}

/// A thread of the workshop from its first to its last job.
fn work(jobs: &Receiver<Job>) {
    // 0 is the calling thread, not the process (setpriority(2), "C library/kernel differences").
    if let Err(error) = rustix::process::setpriority_process(None, WORKSHOP_NICENESS) {
        tracing::debug!(%error, "long work has the priority of its lane");
    }
    for job in jobs {
        job();
    }
}

/// A tenth of the lane's weight where both want the CPU (sched(7): each step is a factor of 1.25).
const WORKSHOP_NICENESS: i32 = 10;

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::sync::mpsc;
    use std::task::Poll;
    use std::time::Duration;
    use std::time::Instant;

    use crate::uring::runtime::Runtime;

    const PATIENCE: Duration = Duration::from_secs(20);

    /// On each I/O that there is, with a limit.
    fn on_each<F: Future<Output = ()>>(test: impl Fn() -> F) {
        for runtime in [Runtime::epoll(), Runtime::ring()].into_iter().flatten() {
            runtime.block_on(async {
                tokio::time::timeout(PATIENCE, test()).await.expect("it ends");
            });
        }
    }

    /// Runs the future up to its first wait.
    async fn begin<F: Future + Unpin>(future: &mut F) -> Poll<F::Output> {
        std::future::poll_fn(|context| Poll::Ready(std::pin::Pin::new(&mut *future).poll(context)))
            .await
    }

    /// A job that runs until it is told to end, and the one who tells it.
    fn held(value: usize) -> (mpsc::Sender<()>, impl FnOnce() -> usize + Send + 'static) {
        let (release, released) = mpsc::channel();
        (release, move || {
            let _ = released.recv();
            value
        })
    }

    /// A field of proc_pid_stat(5) of a thread of this process.
    fn stat(thread: &str, field: usize) -> String {
        let stat = std::fs::read_to_string(format!("/proc/{thread}/stat")).unwrap();
        let (_, fields) = stat.rsplit_once(") ").unwrap();
        fields.split(' ').nth(field - 3).unwrap().to_owned()
    }

    #[test]
    fn a_lane_that_sleeps_in_the_kernel_is_woken_by_the_end_of_a_job() {
        on_each(|| async {
            let workshop = Workshop::new();
            let link = std::fs::read_link("/proc/thread-self").unwrap();
            let lane = link.to_str().unwrap().to_owned();
            for round in 0..20 {
                let lane = lane.clone();
                let ran = workshop.run(move || {
                    let until = Instant::now() + PATIENCE;
                    while stat(&lane, 3) != "S" {
                        assert!(Instant::now() < until, "the lane does not sleep");
                        thread::yield_now();
                    }
                    round
                });
                assert_eq!(ran.await, Ok(round));
            }
            assert_eq!(workshop.shop.threads.get(), 1, "one at a time needs one thread");
        });
    }

    #[test]
    fn jobs_go_behind_the_lane() {
        on_each(|| async {
            let own = stat("thread-self", 19);
            let nice = Workshop::new().run(|| stat("thread-self", 19)).await.unwrap();
            let nicer = own.parse::<i32>().unwrap().max(WORKSHOP_NICENESS);
            assert_eq!(nice, nicer.to_string());
            assert_eq!(stat("thread-self", 19), own, "the lane is as it was");
        });
    }

    #[test]
    fn so_many_jobs_run_and_so_many_wait_and_the_next_is_refused_at_once() {
        on_each(|| async {
            let workshop = Workshop::new();
            let mut running = Vec::new();
            for value in 0..WORKSHOP_JOBS_MAX {
                let (release, job) = held(value);
                let mut ran = Box::pin(workshop.run(job));
                assert!(begin(&mut ran).await.is_pending());
                running.push((release, ran));
            }
            let mut waiting = Vec::new();
            for value in 0..WORKSHOP_QUEUE_MAX {
                let mut ran = Box::pin(workshop.run(move || value));
                assert!(begin(&mut ran).await.is_pending());
                waiting.push(ran);
            }
            assert_eq!(workshop.shop.running.get(), WORKSHOP_JOBS_MAX);
            assert_eq!(workshop.shop.waiting.get(), WORKSHOP_QUEUE_MAX);
            assert_eq!(workshop.run(|| ()).await, Err(Busy));
            // One that leaves the queue makes room, and its job never runs.
            let (begun, never) = mpsc::channel();
            waiting.pop();
            let mut leaving = Box::pin(workshop.run(move || begun.send(()).unwrap()));
            assert!(begin(&mut leaving).await.is_pending());
            assert_eq!(workshop.run(|| ()).await, Err(Busy));
            drop(leaving);
            assert!(never.recv().is_err(), "it was dropped unrun");
            for (value, (release, ran)) in running.into_iter().enumerate() {
                release.send(()).unwrap();
                assert_eq!(ran.await, Ok(value));
            }
            for (value, ran) in waiting.into_iter().enumerate() {
                assert_eq!(ran.await, Ok(value));
            }
            assert_eq!(workshop.run(|| 7).await, Ok(7));
            assert_eq!(workshop.shop.running.get(), 0);
            assert_eq!(workshop.shop.threads.get(), WORKSHOP_JOBS_MAX);
        });
    }

    #[test]
    fn a_job_has_its_place_until_it_ends_also_when_nobody_waits_for_it() {
        on_each(|| async {
            let workshop = Workshop::with_bounds(1, 1);
            let (release, job) = held(1);
            let mut left = Box::pin(workshop.run(job));
            assert!(begin(&mut left).await.is_pending());
            drop(left);
            let mut next = Box::pin(workshop.run(|| 2));
            assert!(begin(&mut next).await.is_pending());
            assert_eq!(workshop.run(|| 3).await, Err(Busy));
            release.send(()).unwrap();
            assert_eq!(next.await, Ok(2));
            assert_eq!(workshop.shop.running.get(), 0);
        });
    }

    #[test]
    fn a_job_that_hangs_keeps_no_lane_from_its_end() {
        for runtime in [Runtime::epoll(), Runtime::ring()].into_iter().flatten() {
            let (release, job) = held(1);
            runtime.block_on(async {
                let workshop = Workshop::with_bounds(1, 1);
                let mut hanging = Box::pin(workshop.run(job));
                assert!(begin(&mut hanging).await.is_pending());
            });
            drop(runtime);
            assert!(release.send(()).is_ok(), "the job still runs");
        }
    }
}
