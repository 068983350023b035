//! The promises of the format: what was committed reads back, over rotations and over a writer killed anywhere.

use std::fs::File;
use std::io::Write;
use std::os::fd::AsFd;
use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::sandbox::LogLimits;

const ROOMY: LogLimits = LogLimits { file_bytes: 1 << 30, files: 4, transient: false };

fn writer(folder: &Path, limits: LogLimits) -> Writer {
    Writer::open(File::open(folder).expect("the folder"), limits).expect("a writer")
}

/// All frames from the beginning, as (time, stream, data).
fn read_all(folder: &Path, step: usize) -> Vec<(i64, Stream, Vec<u8>)> {
    let mut reader = Reader::open(folder).expect("a reader");
    let end = reader.committed().expect("a head");
    read_from(&mut reader, Position::default(), end, step)
}

fn read_from(reader: &mut Reader, mut position: Position, end: u64, step: usize) -> Vec<(i64, Stream, Vec<u8>)> {
    let mut frames = Vec::new();
    loop {
        let step = reader.step(&mut position, end, step).expect("a step");
        if step.is_empty() {
            return frames;
        }
        frames.extend(step.frames().map(|frame| (frame.time_ns, frame.stream, frame.data.to_vec())));
    }
}

fn bytes_of(frames: &[(i64, Stream, Vec<u8>)], stream: Stream) -> Vec<u8> {
    frames.iter().filter(|frame| frame.1 == stream).flat_map(|frame| frame.2.clone()).collect()
}

fn lines_of(frames: &[(i64, Stream, Vec<u8>)]) -> Vec<(Stream, Vec<u8>)> {
    let mut lines = Lines::default();
    let mut found = Vec::new();
    for (time_ns, stream, data) in frames {
        let frame = Frame { position: 0, time_ns: *time_ns, stream: *stream, data };
        lines.split(frame, |line| found.push((line.stream, line.text.to_vec())));
    }
    lines.finish(|line| found.push((line.stream, line.text.to_vec())));
    found
}

fn chunk() -> impl Strategy<Value = (bool, Vec<u8>)> {
    let byte = prop_oneof![3 => Just(b'\n'), 10 => Just(b'x'), 1 => any::<u8>()];
    (any::<bool>(), prop::collection::vec(byte, 1..200))
}

fn stream(is_error: bool) -> Stream {
    if is_error { Stream::Stderr } else { Stream::Stdout }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn what_was_written_reads_back_in_any_step(chunks in prop::collection::vec(chunk(), 0..60), step in 1..5000_usize) {
        let folder = tempfile::tempdir()?;
        let mut log = writer(folder.path(), ROOMY);
        let mut expected = Vec::new();
        for (time, (is_error, data)) in chunks.into_iter().enumerate() {
            log.append(stream(is_error), time as i64, &data)?;
            expected.push((time as i64, stream(is_error), data));
        }
        prop_assert_eq!(read_all(folder.path(), step), expected);
    }

    #[test]
    fn rotation_keeps_the_newest_and_positions_grow(chunks in prop::collection::vec(chunk(), 1..120)) {
        let folder = tempfile::tempdir()?;
        let mut log = writer(folder.path(), LogLimits { file_bytes: 1000, files: 3, transient: false });
        let mut reader = Reader::open(folder.path())?;
        let mut position = Position::default();
        let mut followed = Vec::new();
        let mut expected = Vec::new();
        for (time, (is_error, data)) in chunks.into_iter().enumerate() {
            let before = log.committed();
            log.append(stream(is_error), time as i64, &data)?;
            prop_assert!(log.committed() > before);
            expected.push((time as i64, stream(is_error), data));
            // A follower that keeps up misses nothing.
            let end = reader.committed()?;
            let step = reader.step(&mut position, end, 10_000)?;
            prop_assert_eq!(step.skipped_bytes, 0);
            followed.extend(step.frames().map(|frame| (frame.time_ns, frame.stream, frame.data.to_vec())));
        }
        prop_assert_eq!(&followed, &expected);
        let kept = read_all(folder.path(), 700);
        prop_assert!(expected.ends_with(&kept));
        let bytes: usize = kept.iter().map(|frame| frame.2.len() + 20).sum();
        prop_assert!(bytes <= 3 * 1220 && (kept.len() == expected.len() || bytes >= 2000));
    }

    #[test]
    fn tail_gives_the_last_lines(
        chunks in prop::collection::vec(chunk(), 0..60), wanted in 0..40_usize, file_bytes in 500..100_000_u64,
        stdout: bool, stderr: bool
    ) {
        let folder = tempfile::tempdir()?;
        let mut log = writer(folder.path(), LogLimits { file_bytes, files: 1000, transient: false });
        for (is_error, data) in &chunks {
            log.append(stream(*is_error), 1, data)?;
        }
        let streams = Streams { stdout, stderr };
        let mut reader = Reader::open(folder.path())?;
        let end = reader.committed()?;
        let position = reader.tail(wanted, streams, end)?;
        let mut found = read_from(&mut reader, position, end, 4096);
        found.retain(|frame| streams.has(frame.1));
        let mut all = read_all(folder.path(), 4096);
        all.retain(|frame| streams.has(frame.1));
        let all = lines_of(&all);
        let found = lines_of(&found);
        // Lines without a newline are the last ones of their stream: they count at the place where they were begun.
        let whole = |lines: &[(Stream, Vec<u8>)]| {
            lines.iter().filter(|line| line.1.ends_with(b"\n")).cloned().collect::<Vec<_>>()
        };
        prop_assert!(whole(&all).ends_with(&whole(&found)), "{all:?} {found:?}");
        prop_assert!(found.len() == wanted.min(all.len()) || all.iter().any(|line| !line.1.ends_with(b"\n")));
        prop_assert!(found.len() <= wanted.min(all.len()));
        for line in &found {
            prop_assert!(all.contains(line));
        }
    }

    #[test]
    fn a_writer_killed_anywhere_keeps_what_was_committed(
        chunks in prop::collection::vec(chunk(), 1..30), cut in 0..100_usize, forget_head: bool
    ) {
        let folder = tempfile::tempdir()?;
        let mut log = writer(folder.path(), ROOMY);
        let (last, earlier) = chunks.split_last().expect("one chunk");
        for (is_error, data) in earlier {
            log.append(stream(*is_error), 1, data)?;
        }
        let committed = log.committed();
        log.append(stream(last.0), 1, &last.1)?;
        drop(log);
        // As if the last frame had been cut anywhere, and head were not yet written.
        let segment = File::options().write(true).open(folder.path().join("log/0000000000000000.log"))?;
        let frame = last.1.len() + 20;
        let kept = frame * cut / 100;
        segment.set_len(committed + kept as u64)?;
        let head = if forget_head { Vec::new() } else { format::Head { committed, reading: false }.encode().to_vec() };
        std::fs::write(folder.path().join("log/head"), head)?;

        let mut log = writer(folder.path(), ROOMY);
        log.append(Stream::Stdout, 2, b"after")?;
        let frames = read_all(folder.path(), 4096);
        let mut expected: Vec<(i64, Stream, Vec<u8>)> =
            earlier.iter().map(|(is_error, data)| (1, stream(*is_error), data.clone())).collect();
        // What arrived of a cut frame is kept.
        let arrived = kept.saturating_sub(16).min(last.1.len());
        if arrived > 0 {
            expected.push((1, stream(last.0), last.1[..arrived].to_vec()));
        }
        expected.push((2, Stream::Stdout, b"after".to_vec()));
        prop_assert_eq!(frames, expected);
    }
}

#[test]
fn since_begins_no_later_than_the_first_frame_of_that_time() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut log = writer(folder.path(), LogLimits { file_bytes: 2 << 20, files: 3, transient: false });
    for time in 0..3000 {
        log.append(Stream::Stdout, time, &[b'x'; 3000])?;
    }
    let mut reader = Reader::open(folder.path())?;
    let end = reader.committed()?;
    let oldest = read_all(folder.path(), 1 << 20)[0].0;
    for time in [0, oldest, oldest + 1, 2000, 2500, 2999, 4000] {
        let position = reader.since(time)?;
        let first = read_from(&mut reader, position, end, 1 << 20)[0].0;
        assert!(first <= time.max(oldest), "{first} for {time}");
        assert!(time > 3000 || first + 200 > time, "{first} is far before {time}");
    }
    Ok(())
}

#[test]
fn a_pipe_is_spliced_whole_and_over_rotations() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut log = writer(folder.path(), LogLimits { file_bytes: 200_000, files: 100, transient: false });
    let (reader, mut pipe) = std::io::pipe()?;
    let text: Vec<u8> = (0..1_000_000_u32).flat_map(|number| number.to_le_bytes()).collect();
    let expected = text.clone();
    let filler = std::thread::spawn(move || pipe.write_all(&text));
    let mut moved = 0;
    while moved < expected.len() {
        let available = rustix::io::ioctl_fionread(&reader)? as usize;
        if available > 0 {
            moved += log.splice(Stream::Stderr, 1, reader.as_fd(), available)?;
        }
    }
    filler.join().expect("the filler")?;
    assert!(bytes_of(&read_all(folder.path(), 1 << 20), Stream::Stderr) == expected);
    Ok(())
}

#[test]
fn bytes_on_their_way_from_a_terminal_are_told_as_perhaps_lost() -> anyhow::Result<()> {
    let folder = tempfile::tempdir()?;
    let mut log = writer(folder.path(), ROOMY);
    log.append(Stream::Stdout, 1, b"one")?;
    log.set_reading(true)?;
    drop(log);
    drop(writer(folder.path(), ROOMY));
    let frames = read_all(folder.path(), 4096);
    assert_eq!(frames.len(), 2);
    assert_eq!(frames[1].1, Stream::Note);
    drop(writer(folder.path(), ROOMY));
    assert_eq!(read_all(folder.path(), 4096).len(), 2);
    Ok(())
}

#[test]
fn a_log_of_which_nothing_is_kept_waits_for_who_reads_and_for_nobody_else() {
    const PIECES: usize = 80;
    let folder = tempfile::tempdir().expect("a folder");
    let limits = LogLimits { transient: true, ..LogLimits::default() };
    let piece = vec![b'x'; 100_000];
    let bytes = || -> u64 {
        let log = std::fs::read_dir(folder.path().join(LOG_FOLDER)).expect("a log").flatten();
        log.filter_map(|entry| entry.metadata().ok()).map(|about| about.len()).sum()
    };
    let mut log = writer(folder.path(), limits);
    for _ in 0..PIECES {
        log.append(Stream::Stdout, 1, &piece).expect("written");
    }
    assert!(bytes() < 2_500_000, "{} bytes, and nobody reads", bytes());

    // Over a new writer too, as when the monitor was killed.
    let reading = Reading::begin(folder.path()).expect("somebody reads");
    let begin = Position::frame(log.committed());
    for _ in 0..PIECES / 2 {
        log.append(Stream::Stdout, 2, &piece).expect("written");
    }
    drop(log);
    let mut log = writer(folder.path(), limits);
    for _ in 0..PIECES / 2 {
        log.append(Stream::Stdout, 2, &piece).expect("written");
    }
    let mut reader = Reader::open(folder.path()).expect("a reader");
    let end = reader.committed().expect("a head");
    assert_eq!(read_from(&mut reader, begin, end, 1 << 20).len(), PIECES);
    drop(log);
    drop_read(folder.path()).expect("nothing to do");
    assert!(bytes() > 7_000_000, "{} bytes, and somebody reads", bytes());

    drop(reading);
    drop_read(folder.path()).expect("dropped");
    assert!(bytes() < 100, "{} bytes are left", bytes());
    let mut log = writer(folder.path(), limits);
    assert_eq!(log.committed(), end, "positions grow");
    log.append(Stream::Stdout, 3, b"new").expect("written");
    assert_eq!(read_from(&mut reader, Position::frame(end), log.committed(), 100).len(), 1);
}
