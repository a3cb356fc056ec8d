//! A realm in one lane: its users, who of them has proved their password lately, and who is being
//! checked just now.
//!
//! A field Authorization goes in. Credentials that were right lately are granted at once; others
//! become a proof, which the lane's workshop works off. Requests with the same new credentials wait
//! for one proof together: a browser sends six at once. What wrong passwords cost: a flood of them
//! keeps the workshop busy, and whoever is new gets `Busy` then; whoever is remembered does not
//! notice.
//!
//! Remembered is a keyed hash alone, of 128 bits, with a key that is random for each realm of each
//! lane: SipHash-2-4 is a pseudorandom function, so that somebody without the key cannot do better
//! than to guess. One is kept for each user, as each has one password.

use std::cell::Cell;
use std::cell::RefCell;
use std::collections::HashMap;
use std::hash::Hasher;
use std::rc::Rc;

use rustix::rand::GetRandomFlags;
use siphasher::sip128::Hasher128;
use siphasher::sip128::SipHasher24;
use subtle::ConstantTimeEq;
use tokio::sync::watch;

use crate::auth::RealmSpec;
use crate::auth::credentials::Credentials;
use crate::auth::hash::Hash;
use crate::clock::Moment;
use crate::limits::AUTH_CACHE_TIME;
use crate::workshop::Busy;
use crate::workshop::Workshop;

/// A realm, as one lane has it.
pub struct Realm {
    name: String,
    users: Vec<User>,
    by_name: HashMap<Vec<u8>, usize>,
    key: [u8; 16],
    /// The proofs that are being worked off: at most as many as the workshop takes.
    running: RefCell<Vec<(Print, watch::Receiver<Option<Verdict>>)>>,
}

struct User {
    name: Rc<str>,
    hash: Hash,
    /// What was right, and since when that is known.
    proved: Cell<Option<(Print, Moment)>>,
}

/// What is said of a request.
pub enum Check {
    /// This user may ask.
    Granted(Rc<str>),
    /// Nobody has said who asks, or not in a form that can be right: 401 with the challenge.
    Refused,
    /// To be found out: [`Realm::prove`].
    Unknown(Box<Proof>),
}

/// What was found out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// This user may ask.
    Granted(Rc<str>),
    /// 401 with the challenge.
    Refused,
}

/// Credentials, and the hash that they must be held against.
pub struct Proof {
    credentials: Credentials,
    print: Print,
    hash: Hash,
    /// The user whose hash it is. None: there is no such user, and the hash only takes time.
    user: Option<usize>,
}

/// The keyed hash of credentials.
#[derive(Clone, Copy)]
struct Print([u8; 16]);

impl Print {
    fn is(&self, other: &Self) -> bool {
        self.0.ct_eq(&other.0).into()
    }
}

impl Realm {
    /// Nobody is remembered yet.
    ///
    /// # Errors
    ///
    /// The user whose hash is none, and a sentence about it: see [`check_hash`](super::check_hash).
    pub fn new(spec: &RealmSpec) -> Result<Self, (String, String)> {
        let mut users = Vec::with_capacity(spec.users.len());
        let mut by_name = HashMap::with_capacity(spec.users.len());
        for (name, hash) in &spec.users {
            let hash = Hash::parse(hash).map_err(|sentence| (name.clone(), sentence))?;
            by_name.entry(name.clone().into_bytes()).or_insert(users.len());
            users.push(User { name: Rc::from(&**name), hash, proved: Cell::new(None) });
        }
        let mut key = [0; 16];
        let random = rustix::rand::getrandom(&mut key, GetRandomFlags::empty());
        // getrandom(2): requests of up to 256 bytes are neither cut nor interrupted.
        assert!(random == Ok(key.len()), "the kernel has no random bytes: {random:?}");
        Ok(Self { name: spec.name.clone(), users, by_name, key, running: RefCell::default() })
    }

    /// The value of WWW-Authenticate.
    #[must_use]
    pub fn challenge(&self) -> String {
        let mut name = String::with_capacity(self.name.len());
        for letter in self.name.chars() {
            match letter {
                '"' | '\\' => name.extend(['\\', letter]),
                _ if letter.is_control() => name.push(' '),
                _ => name.push(letter),
            }
        }
        format!("Basic realm=\"{name}\", charset=\"UTF-8\"")
    }

    /// What can be said without work of a request whose Authorization has this value.
    #[must_use]
    pub fn check(&self, authorization: Option<&[u8]>) -> Check {
        self.check_at(Moment::now(), authorization)
    }

    fn check_at(&self, now: Moment, authorization: Option<&[u8]>) -> Check {
        let Some(credentials) = authorization.and_then(Credentials::parse) else {
            return Check::Refused;
        };
        if self.users.is_empty() {
            return Check::Refused;
        }
        let print = self.print(&credentials.pair);
        let user = self.by_name.get(credentials.name()).copied();
        if let Some(user) = user.and_then(|index| self.users.get(index))
            && let Some((proved, since)) = user.proved.get()
            && now.since(since) < AUTH_CACHE_TIME
            && proved.is(&print)
        {
            return Check::Granted(Rc::clone(&user.name));
        }
        // Nobody's name takes as long as somebody's, and the same time always, so that time does
        // not tell who there is.
        let held_against = user.unwrap_or_else(|| self.stand_in(credentials.name()));
        let hash = self.users[held_against].hash.clone();
        Check::Unknown(Box::new(Proof { credentials, print, hash, user }))
    }

    /// Finds out in the workshop whether credentials are right, and remembers it if they are.
    /// Whoever asks meanwhile with the same ones gets the same answer without further work.
    ///
    /// # Errors
    ///
    /// [`Busy`]: there is too much to find out just now, or no memory for it.
    pub async fn prove(&self, workshop: &Workshop, proof: Box<Proof>) -> Result<Verdict, Busy> {
        // Each further turn is one whose prover has left without a verdict.
        while let Some(mut running) = self.running(&proof.print) {
            if let Ok(verdict) = running.wait_for(Option::is_some).await
                && let Some(verdict) = &*verdict
            {
                return Ok(verdict.clone());
            }
        }
        let (tell, told) = watch::channel(None);
        let print = proof.print;
        self.running.borrow_mut().push((print, told));
        let _running = Running { realm: self, print };
        let user = proof.user;
        let right = workshop.run(move || proof.verify()).await??;
        let verdict = match user.and_then(|index| self.users.get(index)) {
            Some(user) if right => {
                user.proved.set(Some((print, Moment::now())));
                Verdict::Granted(Rc::clone(&user.name))
            }
            _ => Verdict::Refused,
        };
        tell.send_replace(Some(verdict.clone()));
        Ok(verdict)
    }

    fn running(&self, print: &Print) -> Option<watch::Receiver<Option<Verdict>>> {
        let running = self.running.borrow();
        running.iter().find(|(other, _)| other.is(print)).map(|(_, told)| told.clone())
    }

    fn print(&self, bytes: &[u8]) -> Print {
        let mut hasher = SipHasher24::new_with_key(&self.key);
        hasher.write(bytes);
        Print(hasher.finish128().as_bytes())
    }

    /// Whose hash is computed for a name that nobody has. There is at least one user.
    fn stand_in(&self, name: &[u8]) -> usize {
        let Print([a, b, c, d, ..]) = self.print(name);
        u32::from_le_bytes([a, b, c, d]) as usize % self.users.len()
    }
}

/// A proof on its way. When whoever asked first leaves, another who waits begins anew.
struct Running<'r> {
    realm: &'r Realm,
    print: Print,
}

impl Drop for Running<'_> {
    fn drop(&mut self) {
        self.realm.running.borrow_mut().retain(|(print, _)| !print.is(&self.print));
    }
}

impl Proof {
    /// Takes long.
    fn verify(self) -> Result<bool, Busy> {
        let right = self.hash.verify(self.credentials.password()).map_err(|_| Busy)?;
        Ok(right && self.user.is_some())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::future::Future;
    use std::sync::mpsc;
    use std::time::Duration;

    use base64::Engine;
    use base64::prelude::BASE64_STANDARD;

    use crate::uring::runtime::Runtime;

    /// `htpasswd -nbB -C 4 joe "open sesame"`, and of argon2-cffi.
    const JOE: &str = "$2y$04$gxqadTEa84EQePNyXKo.BuOtTh6ilDKtEI2z23W8fcOO.FAEbwXJK";
    const ANN: &str = "$argon2id$v=19$m=64,t=1,p=1$c2FsdHNhbHQ$OBfygvpH59QySaUfT6wx5Q";

    fn realm() -> Realm {
        let user = |name: &str, hash: &str| (name.to_owned(), hash.to_owned());
        let users = vec![user("joe", JOE), user("ann", ANN), user("joe", ANN)];
        Realm::new(&RealmSpec { name: "the \"back\\room\"\n\u{e9}".to_owned(), users }).unwrap()
    }

    fn basic(name: &str, password: &str) -> Vec<u8> {
        format!("Basic {}", BASE64_STANDARD.encode(format!("{name}:{password}"))).into_bytes()
    }

    fn unknown(realm: &Realm, authorization: &[u8]) -> Box<Proof> {
        match realm.check(Some(authorization)) {
            Check::Unknown(proof) => proof,
            Check::Granted(_) | Check::Refused => panic!("it is known"),
        }
    }

    fn granted(check: Check) -> Option<String> {
        match check {
            Check::Granted(name) => Some(name.to_string()),
            Check::Refused | Check::Unknown(_) => None,
        }
    }

    fn on_a_lane(test: impl Future<Output = ()>) {
        Runtime::epoll().unwrap().block_on(async {
            tokio::time::timeout(Duration::from_secs(20), test).await.expect("it ends");
        });
    }

    #[test]
    fn the_challenge() {
        let expected = "Basic realm=\"the \\\"back\\\\room\\\" \u{e9}\", charset=\"UTF-8\"";
        assert_eq!(realm().challenge(), expected);
    }

    #[test]
    fn a_user_whose_hash_is_none_is_named() {
        let users = vec![("joe".to_owned(), "secret".to_owned())];
        let refused = Realm::new(&RealmSpec { name: String::new(), users }).err().unwrap();
        assert_eq!(refused.0, "joe");
        assert!(refused.1.contains("htpasswd -B"), "{}", refused.1);
    }

    #[test]
    fn what_needs_no_work_gets_none() {
        let realm = realm();
        for authorization in [None, Some(&b""[..]), Some(b"Bearer x"), Some(b"Basic am9l")] {
            assert!(matches!(realm.check(authorization), Check::Refused));
        }
        let empty = Realm::new(&RealmSpec { name: String::new(), users: Vec::new() }).unwrap();
        assert!(matches!(empty.check(Some(&basic("joe", "x"))), Check::Refused));
    }

    #[test]
    fn a_right_password_is_proved_once_and_a_wrong_one_each_time() {
        on_a_lane(async {
            let (realm, workshop) = (realm(), Workshop::new());
            for name in ["joe", "ann"] {
                let right = basic(name, "open sesame");
                let proved = realm.prove(&workshop, unknown(&realm, &right)).await;
                assert_eq!(proved, Ok(Verdict::Granted(Rc::from(name))));
                assert_eq!(granted(realm.check(Some(&right))).as_deref(), Some(name));
                for (name, password) in
                    [(name, "open sesamf"), (name, ""), ("eve", "open sesame"), ("", "")]
                {
                    for _ in 0..2 {
                        let proof = unknown(&realm, &basic(name, password));
                        assert_eq!(realm.prove(&workshop, proof).await, Ok(Verdict::Refused));
                    }
                }
                assert_eq!(granted(realm.check(Some(&right))).as_deref(), Some(name));
            }
            assert!(realm.running.borrow().is_empty());
        });
    }

    #[test]
    fn nobodys_name_costs_what_somebodys_does_and_the_same_each_time() {
        let realm = realm();
        let is_bcrypt = |name: &str, password: &str| {
            matches!(unknown(&realm, &basic(name, password)).hash, Hash::Bcrypt(_))
        };
        let mut bcrypt = 0;
        for number in 0..100 {
            let name = format!("nobody{number}");
            bcrypt += usize::from(is_bcrypt(&name, "a"));
            assert_eq!(is_bcrypt(&name, "a"), is_bcrypt(&name, "b"), "{name}");
        }
        // Of the three users one has bcrypt.
        assert!((1..100).contains(&bcrypt), "{bcrypt} of 100");
    }

    #[test]
    fn it_grants_nothing_that_was_not_proved_within_its_time() {
        let realm = realm();
        let start = Moment::now();
        let mut random = 1_u32;
        let mut next = |below: u32| {
            random = random.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (random >> 16) % below
        };
        let names = ["joe", "ann", "eve"];
        // The slow twin: what was proved, and when.
        let mut proved: Vec<(u32, u32, Moment)> = Vec::new();
        let mut now = start;
        let mut hits = 0;
        for _ in 0..20_000 {
            let step = [0, 1, 1000, 60_000, 599_999, 600_000][next(6) as usize];
            now = now.after(Duration::from_millis(if next(4) == 0 { step } else { 0 }));
            let (who, password) = (next(3), next(3));
            let value = basic(names[who as usize], &password.to_string());
            if next(3) == 0 && who < 2 {
                let user = &realm.users[who as usize];
                let pair = format!("{}:{password}", names[who as usize]);
                user.proved.set(Some((realm.print(pair.as_bytes()), now)));
                proved.retain(|(other, ..)| *other != who);
                proved.push((who, password, now));
            }
            let expected = proved.iter().any(|(other, right, since)| {
                (*other, *right) == (who, password) && now.since(*since) < AUTH_CACHE_TIME
            });
            hits += usize::from(expected);
            let name = granted(realm.check_at(now, Some(&value)));
            assert_eq!(name.as_deref(), expected.then_some(names[who as usize]));
        }
        assert!(hits > 1000, "{hits}");
    }

    /// A place in the workshop that is taken until told.
    fn hold(workshop: &Rc<Workshop>) -> mpsc::Sender<()> {
        let (release, released) = mpsc::channel();
        let workshop = Rc::clone(workshop);
        tokio::task::spawn_local(async move {
            let _ = workshop.run(move || released.recv()).await;
        });
        release
    }

    #[test]
    fn requests_with_the_same_new_password_wait_for_one_proof() {
        on_a_lane(async {
            let realm = Rc::new(realm());
            // One place and one in the queue: a second proof would be refused.
            let workshop = Rc::new(Workshop::with_bounds(1, 1));
            let release = hold(&workshop);
            tokio::task::yield_now().await;
            let asking: Vec<_> = (0..6)
                .map(|_| {
                    let (realm, workshop) = (Rc::clone(&realm), Rc::clone(&workshop));
                    tokio::task::spawn_local(async move {
                        let proof = unknown(&realm, &basic("joe", "open sesame"));
                        realm.prove(&workshop, proof).await
                    })
                })
                .collect();
            tokio::task::yield_now().await;
            assert_eq!(realm.running.borrow().len(), 1);
            let other = unknown(&realm, &basic("joe", "other"));
            assert_eq!(realm.prove(&workshop, other).await, Err(Busy), "the queue is full");
            // The first of them leaves: another one takes over.
            let mut asking = asking.into_iter();
            let first = asking.next().unwrap();
            first.abort();
            assert!(first.await.unwrap_err().is_cancelled());
            tokio::task::yield_now().await;
            assert_eq!(realm.running.borrow().len(), 1);
            release.send(()).unwrap();
            for asked in asking {
                assert_eq!(asked.await.unwrap(), Ok(Verdict::Granted(Rc::from("joe"))));
            }
            assert!(realm.running.borrow().is_empty());
        });
    }

    #[test]
    fn whoever_is_known_does_not_notice_a_flood() {
        on_a_lane(async {
            let realm = realm();
            let workshop = Rc::new(Workshop::with_bounds(1, 0));
            let right = basic("joe", "open sesame");
            realm.prove(&workshop, unknown(&realm, &right)).await.unwrap();
            let release = hold(&workshop);
            tokio::task::yield_now().await;
            let wrong = unknown(&realm, &basic("joe", "guess"));
            assert_eq!(realm.prove(&workshop, wrong).await, Err(Busy));
            assert_eq!(granted(realm.check(Some(&right))).as_deref(), Some("joe"));
            release.send(()).unwrap();
        });
    }
}
