//! keeper and monitor as real processes with real children: what holds when each of them is killed. Needs root.

mod house;

use std::fs::File;
use std::io::Write;
use std::time::Duration;

use house::{House, UID, ask_monitor};
use sampan_runtime::log::Stream;
use sampan_runtime::sandbox::{RestartPolicy, Stdio};
use sampan_runtime::wire::keeper;
use sampan_runtime::wire::monitor::{Answer, Happening, Request};
use sampan_runtime::wire::socket::{Connection, Listener};
use sampan_runtime::wire::spawner;

fn ended(what: &Happening) -> bool {
    matches!(what, Happening::Ended { restart_in_ms: None, .. })
}

fn code(what: &Happening) -> Option<i32> {
    match what {
        Happening::Ended { code, .. } => *code,
        other => panic!("not an end: {other:?}"),
    }
}

/// Lines 0..n, a good many of them.
fn counting(lines: u32) -> (String, Vec<u8>) {
    let script = format!("i=0; while [ $i -lt {lines} ]; do echo line $i; i=$((i+1)); done; exit 9");
    let expected = (0..lines).flat_map(|number| format!("line {number}\n").into_bytes()).collect();
    (script, expected)
}

#[test]
fn output_is_in_the_log_before_the_end_is_in_the_journal() {
    let house = House::new();
    house.run("a", "echo out; echo err >&2; exit 7");
    let journal = house.journal_until("a", ended);
    assert_eq!(journal.len(), 2);
    assert!(matches!(journal[0], Happening::Started { restarts: 0, .. }));
    assert_eq!(code(&journal[1]), Some(7));
    assert_eq!(house.output("a", Stream::Stdout), b"out\n");
    assert_eq!(house.output("a", Stream::Stderr), b"err\n");
}

#[test]
fn a_process_that_is_over_before_it_is_watched_keeps_its_status() {
    let house = House::new();
    house.make_folder("a", RestartPolicy::No, Stdio::default());
    let born = house.bear("a", "kill -9 $$");
    house.keep(&born);
    house.adopt(&born, RestartPolicy::No, Stdio::default());
    born.go();
    house.wait_for("the end", || (!std::path::Path::new(&format!("/proc/{}", born.pid)).exists()).then_some(()));
    house.watch(&born);
    assert_eq!(code(house.journal_until("a", ended).last().expect("an end")), Some(137));
}

#[test]
fn a_killed_monitor_costs_no_byte_and_no_exit_code() {
    let house = House::new();
    let (script, expected) = counting(60_000);
    house.run("a", &script);
    for _ in 0..5 {
        std::thread::sleep(Duration::from_millis(30));
        house.kill_monitor();
    }
    let journal = house.journal_until("a", ended);
    assert_eq!(code(journal.last().expect("an end")), Some(9));
    assert_eq!(journal.len(), 2, "{journal:?}");
    assert!(house.output("a", Stream::Stdout) == expected);
}

#[test]
fn an_end_while_the_monitor_is_away_is_told_to_the_next() {
    let house = House::new();
    let pid = house.run("a", "sleep 0.3; echo last words; exit 5");
    let monitor = house.monitor_pid();
    let stop = |pid| rustix::process::Pid::from_raw(pid).expect("a pid");
    rustix::process::kill_process(stop(monitor), rustix::process::Signal::STOP).expect("stop");
    house.wait_for("the end", || (!std::path::Path::new(&format!("/proc/{pid}")).exists()).then_some(()));
    rustix::process::kill_process(stop(monitor), rustix::process::Signal::KILL).expect("kill");
    assert_eq!(code(house.journal_until("a", ended).last().expect("an end")), Some(5));
    assert_eq!(house.output("a", Stream::Stdout), b"last words\n");
}

#[test]
fn a_killed_keeper_takes_nothing_with_it() {
    let house = House::new();
    let (script, expected) = counting(60_000);
    house.run("a", &script);
    // What it leaves behind holds its streams for a while, and ends by itself: nothing here would end it.
    house.run("b", "sleep 20 & sleep 0.2; exit 3");
    let monitor = house.monitor_pid();
    house.replace_keeper(|| {
        // One ends while there is no keeper: the kernel knows its status, or nobody does.
        let journal = house.journal_until("b", ended);
        assert!(matches!(code(journal.last().expect("an end")), None | Some(3)));
    });
    assert_eq!(house.monitor_pid(), monitor, "the new keeper takes over the old monitor");
    // What the new keeper was given back is enough for another monitor.
    house.kill_monitor();
    house.kill_monitor();
    let journal = house.journal_until("a", ended);
    assert!(matches!(code(journal.last().expect("an end")), None | Some(9)));
    assert!(house.output("a", Stream::Stdout) == expected);
}

#[test]
fn a_restart_needs_no_daemon_and_waits_for_spawner() {
    let house = House::new();
    let policy = RestartPolicy::OnFailure { max_retries: 2 };
    house.make_folder("a", policy, Stdio::default());
    let start = |script: &str| {
        let born = house.bear("a", script);
        house.keep(&born);
        assert_eq!(house.adopt(&born, policy, Stdio::default()), Answer::Done);
        house.watch(&born);
        born.go();
        born.pid
    };
    start("exit 1");
    house.journal_until("a", |what| matches!(what, Happening::Ended { restart_in_ms: Some(100), .. }));
    // A monitor that comes later knows what is due; spawner is away for a while.
    house.kill_monitor();
    std::thread::sleep(Duration::from_millis(300));
    let listener = Listener::bind(&house.state().join("spawner.sock")).expect("spawner's socket");
    std::os::unix::fs::chown(house.state().join("spawner.sock"), Some(UID), None).expect("chown");
    let connection = listener.accept().expect("the monitor asks");
    for _ in 0..2 {
        let id = loop {
            let (request, _) = connection.receive::<spawner::Request>().expect("a request").expect("the monitor");
            match request {
                spawner::Request::Start { id, .. } => break id,
                spawner::Request::Hello { .. } => {
                    let features = spawner::Features::default();
                    connection.send(&spawner::Answer::Welcome { version: 1, features }, &[]).expect("welcome");
                }
                other => panic!("{other:?}"),
            }
        };
        assert_eq!(id, "a");
        let started = spawner::Started { pid: start("exit 1"), at_ns: 1, endpoint: None };
        connection.send(&spawner::Answer::Started(started), &[]).expect("started");
    }
    let journal = house.journal_until("a", ended);
    let restarts: Vec<u32> = journal
        .iter()
        .filter_map(|what| if let Happening::Started { restarts, .. } = what { Some(*restarts) } else { None })
        .collect();
    let waits: Vec<Option<u64>> = journal
        .iter()
        .filter_map(|what| if let Happening::Ended { restart_in_ms, .. } = what { Some(*restart_in_ms) } else { None })
        .collect();
    assert_eq!(restarts, [0, 1, 2]);
    assert_eq!(waits, [Some(100), Some(200), None]);
    drop(connection);
    std::fs::remove_file(house.state().join("spawner.sock")).expect("gone");
}

#[test]
fn a_stop_ends_the_waiting_for_a_restart() {
    let house = House::new();
    house.make_folder("a", RestartPolicy::Always, Stdio::default());
    let born = house.bear("a", "exit 4");
    house.keep(&born);
    house.adopt(&born, RestartPolicy::Always, Stdio::default());
    house.watch(&born);
    born.go();
    house.journal_until("a", |what| matches!(what, Happening::Ended { restart_in_ms: Some(_), .. }));
    let (answer, _) = ask_monitor(&house.to_monitor(), &Request::Stopping { id: "a".to_owned() }, &[]);
    assert_eq!(answer, Answer::Done);
    assert_eq!(code(house.journal_until("a", ended).last().expect("an end")), Some(4));
    let (answer, _) = ask_monitor(&house.to_monitor(), &Request::Stopping { id: "a".to_owned() }, &[]);
    assert!(matches!(answer, Answer::Refused(_)), "it is forgotten");
}

#[test]
fn a_stop_is_remembered_by_the_next_monitor() {
    let house = House::new();
    house.make_folder("a", RestartPolicy::Always, Stdio::default());
    let born = house.bear("a", "sleep 1; exit 4");
    house.keep(&born);
    house.adopt(&born, RestartPolicy::Always, Stdio::default());
    house.watch(&born);
    born.go();
    ask_monitor(&house.to_monitor(), &Request::Stopping { id: "a".to_owned() }, &[]);
    house.kill_monitor();
    assert_eq!(
        code(house.journal_until("a", |what| matches!(what, Happening::Ended { .. })).last().expect("an end")),
        Some(4)
    );
    assert!(house.journal_until("a", |_| true).last().is_some_and(ended));
}

#[test]
fn standard_input_is_handed_out_and_closed_for_good() {
    let house = House::new();
    let stdio = Stdio { stdin: true, ..Stdio::default() };
    house.make_folder("a", RestartPolicy::No, stdio);
    let born = house.bear_with_stdin("a", "cat");
    house.keep(&born);
    assert_eq!(house.adopt(&born, RestartPolicy::No, stdio), Answer::Done);
    house.watch(&born);
    born.go();
    drop(born);
    let monitor = house.to_monitor();
    let (answer, descriptors) = ask_monitor(&monitor, &Request::Stdin { id: "a".to_owned() }, &[]);
    assert_eq!(answer, Answer::Done);
    let mut stdin: File = descriptors.into_iter().next().expect("a descriptor").into();
    stdin.write_all(b"hi\n").expect("it is open");
    house.wait_for("the echo", || (house.output("a", Stream::Stdout) == b"hi\n").then_some(()));
    // A monitor that comes later has it too.
    drop(monitor);
    house.kill_monitor();
    stdin.write_all(b"again\n").expect("it is still open");
    drop(stdin);
    let (answer, _) = ask_monitor(&house.to_monitor(), &Request::CloseStdin { id: "a".to_owned() }, &[]);
    assert_eq!(answer, Answer::Done);
    assert_eq!(code(house.journal_until("a", ended).last().expect("an end")), Some(0));
    assert_eq!(house.output("a", Stream::Stdout), b"hi\nagain\n");
}

#[test]
fn a_terminal_is_read_to_its_last_byte_and_resized() {
    let house = House::new();
    let stdio = Stdio { tty: true, stdin: true, stdin_once: false };
    house.make_folder("a", RestartPolicy::No, stdio);
    let born =
        house.bear_on_terminal("a", "stty size; i=0; while [ $i -lt 2000 ]; do echo row $i; i=$((i+1)); done; exit 6");
    house.keep(&born);
    assert_eq!(house.adopt(&born, RestartPolicy::No, stdio), Answer::Done);
    let resize = Request::Resize { id: "a".to_owned(), rows: 33, columns: 101 };
    assert_eq!(ask_monitor(&house.to_monitor(), &resize, &[]).0, Answer::Done);
    house.watch(&born);
    born.go();
    assert_eq!(code(house.journal_until("a", ended).last().expect("an end")), Some(6));
    let expected: Vec<u8> = std::iter::once("33 101\r\n".to_owned())
        .chain((0..2000).map(|row| format!("row {row}\r\n")))
        .flat_map(String::into_bytes)
        .collect();
    assert!(house.output("a", Stream::Stdout) == expected);
}

#[test]
fn an_abandoned_start_leaves_no_entry() {
    let house = House::new();
    house.make_folder("a", RestartPolicy::Always, Stdio::default());
    let born = house.bear("a", "exit 127");
    house.keep(&born);
    house.adopt(&born, RestartPolicy::Always, Stdio::default());
    house.watch(&born);
    let (answer, _) = ask_monitor(&house.to_monitor(), &Request::Abandon { id: "a".to_owned() }, &[]);
    assert_eq!(answer, Answer::Done);
    born.go();
    // Its end is of no interest to anybody: the team's monitor may be ended once it is over.
    let keeper = house.to_keeper(keeper::Role::Serve);
    house.wait_for("the monitor's end", || {
        keeper.send(&keeper::Request::EndMonitor { team: "blue".to_owned() }, &[]).ok()?;
        let (answer, _) = keeper.receive::<keeper::Answer>().ok()??;
        (answer == keeper::Answer::Done).then_some(())
    });
    assert!(sampan_runtime::journal::read_after(&house.folder("a"), 0).expect("a folder").is_empty());
}

#[test]
fn news_follow_the_journal_and_shutdown_waits_for_containers() {
    let house = House::new();
    let monitor = house.to_monitor();
    assert_eq!(ask_monitor(&monitor, &Request::Subscribe, &[]).0, Answer::Done);
    house.run("a", "sleep 0.5; exit 1");
    // Who comes later is told where it stands, and only then that this was all.
    let late = house.to_monitor();
    let (first, _) = ask_monitor(&late, &Request::Subscribe, &[]);
    assert!(matches!(&first, Answer::News(entry) if entry.id == "a" && entry.sequence == 1), "{first:?}");
    assert_eq!(late.receive::<Answer>().expect("an answer").expect("the monitor lives").0, Answer::Done);
    let keeper = house.to_keeper(keeper::Role::Serve);
    keeper.send(&keeper::Request::Shutdown, &[]).expect("keeper takes it");
    let (answer, _) = keeper.receive::<keeper::Answer>().expect("an answer").expect("keeper lives");
    assert!(
        matches!(answer, keeper::Answer::Refused(refusal) if refusal.kind == sampan_runtime::wire::RefusalKind::Conflict)
    );
    let mut sequences = Vec::new();
    while sequences.len() < 2 {
        let (answer, _) = monitor.receive::<Answer>().expect("news").expect("the monitor lives");
        let Answer::News(entry) = answer else { panic!("{answer:?}") };
        assert_eq!(entry.id, "a");
        sequences.push(entry.sequence);
    }
    assert_eq!(sequences, [1, 2]);
    keeper.send(&keeper::Request::Shutdown, &[]).expect("keeper takes it");
    let (answer, _) = keeper.receive::<keeper::Answer>().expect("an answer").expect("keeper lives");
    assert_eq!(answer, keeper::Answer::Done);
    house.wait_for("the end of the monitor", || Connection::connect(&house.state().join("monitor/blue.sock")).err());
}

#[test]
fn a_monitor_has_no_right_beyond_its_user() {
    let house = House::new();
    let pid = house.monitor_pid();
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("its status");
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).map(|value| value.trim().to_owned()).expect("a field")
    };
    assert_eq!(field("Uid:"), format!("{UID}\t{UID}\t{UID}\t{UID}"));
    assert_eq!(field("Groups:"), "");
    for set in ["CapInh:", "CapPrm:", "CapEff:", "CapBnd:", "CapAmb:"] {
        assert_eq!(field(set), "0000000000000000", "{set}");
    }
    assert_eq!(field("NoNewPrivs:"), "1");
    assert_eq!(field("Seccomp:"), "2");
}
