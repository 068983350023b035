//! At every step of pull, push, load, commit and the deletions the server is killed, at every write its disk is full.
//! What was half done is gone after the next start, what was there is whole, and the same again succeeds.
//!
//! The points are those that the server itself names (engine/src/fault.rs); each is tried by the first verb that passes
//! it; a verb whose steps are all tried by others is killed in its middle. With `SAMPAN_ALL_FAULTS` set each is tried by
//! every verb, which is killed at writes, too. A point that no verb passes fails the test. `SAMPAN_FAULTS_OF=load` tries
//! one verb alone.

#![allow(clippy::unwrap_used, reason = "a test ends where it stands")]

mod house;
mod small;
mod verbs;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use house::House;
use verbs::{ALL, Verb};

/// Servers at the same time.
const AT_ONCE: usize = 3;
/// How long the server may take to die, also where the point is behind the answer.
const SOON: Duration = Duration::from_secs(20);

/// A verb, its server, and what is known of it.
struct Stage {
    verb: Verb,
    house: House,
    /// The store before.
    before: Vec<String>,
    /// The store afterwards, with everything unused swept.
    after: Vec<String>,
    /// What it passes, in that order.
    passes: Vec<String>,
}

#[test]
fn at_every_point_the_server_may_die_and_the_disk_may_be_full() {
    let only = std::env::var("SAMPAN_FAULTS_OF").ok();
    let verbs = ALL.iter().filter(|verb| only.as_ref().is_none_or(|name| verb.name == name));
    let stages = side_by_side(verbs.copied().collect(), |verb| Some(Stage::new(verb)));
    let points = stages[0].house.points();
    let all: BTreeMap<&str, &str> =
        points.iter().filter_map(|line| line.split_once(' ')).map(|(k, n)| (n, k)).collect();
    let passed: BTreeSet<&str> = stages.iter().flat_map(|stage| stage.passes.iter().map(String::as_str)).collect();
    let missed: Vec<&&str> = all.keys().filter(|name| !passed.contains(**name)).collect();
    assert!(only.is_some() || (missed.is_empty() && !all.is_empty()), "no verb passes {missed:?}");

    let every = std::env::var_os("SAMPAN_ALL_FAULTS").is_some();
    let mut taken = BTreeSet::new();
    let mut work = Vec::new();
    for stage in &stages {
        let passes = &stage.passes;
        let own = passes.iter().filter(|name| taken.insert(name.as_str().to_owned()) || every);
        let (writes, mut kills): (Vec<String>, Vec<String>) =
            own.cloned().partition(|name| all[name.as_str()] == "write");
        if every {
            kills.extend(writes.iter().cloned());
        }
        if kills.is_empty() {
            kills.extend(passes.get(passes.len() / 2).cloned());
        }
        work.push((kills, writes));
    }
    let plans = stages.into_iter().zip(work).map(|(stage, (kills, writes))| (stage, kills, writes));
    let failures = side_by_side(plans.collect(), |(mut stage, kills, writes)| {
        let begun = Instant::now();
        let refusals: &[&str] = if every { &["enospc", "eio"] } else { &["enospc"] };
        for point in &writes {
            refusals.iter().for_each(|what| stage.refused_at(point, what));
        }
        kills.iter().for_each(|point| stage.killed_at(point));
        // What was there all the time runs; that it is whole was seen each time.
        stage.house.ok(&["start", "-a", "keeps"]);
        let (name, kills, refused) = (stage.verb.name, kills.len(), writes.len());
        eprintln!("{name}: {kills} kills, {refused} refusals in {:.1} s", begun.elapsed().as_secs_f64());
        None::<()>
    });
    assert!(failures.is_empty());
}

impl Stage {
    /// Does it once as it should be.
    fn new(verb: Verb) -> Self {
        let mut house = House::new(verb.storage);
        (verb.prepare)(&mut house);
        let before = house.settled();
        house.forget_reached();
        (verb.act)(&house).unwrap();
        house.settled();
        let mut passes: Vec<String> = Vec::new();
        for name in house.reached() {
            if !passes.contains(&name) && !verb.beside.iter().any(|beside| name.starts_with(beside)) {
                passes.push(name);
            }
        }
        (verb.check)(&house);
        let after = house.settled();
        let mut stage = Self { verb, house, before, after, passes };
        stage.back("at first");
        stage
    }

    /// To the beginning again.
    fn back(&mut self, when: &str) {
        (self.verb.prepare)(&mut self.house);
        self.house.swept_to(&[&self.before], when);
    }

    fn refused_at(&mut self, point: &str, what: &str) {
        let when = format!("{}, {what} at {point}", self.verb.name);
        let house = &self.house;
        house.set(point, what);
        let outcome = (self.verb.act)(house);
        house.clear();
        match &outcome {
            // What goes wrong behind the answer is for the log, and done later.
            Ok(()) => (self.verb.check)(house),
            Err(said) => {
                let said = said.to_lowercase();
                let known = ["no space left", "disk is full", "507", "input/output error", "500"];
                let told = if what == "enospc" { &known[..3] } else { &known[3..] };
                assert!(told.iter().any(|words| said.contains(words)), "{when}: {said}");
            }
        }
        house.is_sound(&when);
        (self.verb.act)(house).unwrap_or_else(|said| panic!("{when}, again: {said}"));
        house.swept_to(&[&self.after], &when);
        self.back(&when);
    }

    fn killed_at(&mut self, point: &str) {
        let when = format!("{}, killed at {point}", self.verb.name);
        // A sweep that still runs would end it before the verb begins, whose client waits for the next server then.
        self.house.quiet();
        self.house.set(point, "kill");
        // Whether it was told that all is well says nothing: some points are behind the answer.
        let _ = (self.verb.act)(&self.house);
        assert!(self.house.server.ends_within(SOON), "{when}: it does not die");
        self.house.clear();
        // As it lies there, before anybody puts it in order.
        self.house.is_sound(&when);
        self.house.age("content");
        self.house.age("content/uploads");
        self.house.forget_reached();
        self.house.server.again();
        let house = &self.house;
        assert_eq!(house.uploads(), Vec::<String>::new(), "{when}");
        if self.verb.whole {
            house.swept_to(&[&self.before, &self.after], &when);
        }
        (self.verb.act)(house).unwrap_or_else(|said| panic!("{when}, again: {said}"));
        (self.verb.check)(house);
        house.swept_to(&[&self.after], &when);
        self.back(&when);
    }
}

/// Some at the same time, in order; the first failure is the test's.
fn side_by_side<One: Send, Made: Send>(all: Vec<One>, work: impl Fn(One) -> Option<Made> + Sync) -> Vec<Made> {
    let count = all.len();
    let waiting = Mutex::new(all.into_iter().enumerate());
    let made = Mutex::new(Vec::from_iter((0..count).map(|_| None)));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let next = waiting.lock().unwrap().next();
                    let Some((place, one)) = next else { break };
                    let done = work(one);
                    made.lock().unwrap()[place] = done;
                }
            });
        }
    });
    made.into_inner().unwrap().into_iter().flatten().collect()
}
