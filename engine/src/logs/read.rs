//! One reader: its beginning, its steps, its end.

use std::collections::VecDeque;
use std::io;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::time::Duration;

use bytes::Bytes;
use futures_util::stream;
pub use sampan_runtime::log::Stream;
use sampan_runtime::log::{Position, Reader, Streams};

use super::watch::Watch;

/// Read in one step.
const STEP: usize = 1 << 20;

/// Where reading begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum From {
    /// At the first byte that is kept.
    Start,
    /// So many lines before what is written now.
    Tail(u64),
    /// What is not written yet at the time of the call.
    Now,
}

/// What is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Query {
    /// Standard output, or a terminal.
    pub stdout: bool,
    /// Standard error.
    pub stderr: bool,
    /// Where to begin.
    pub from: From,
    /// Nothing that was written before this time, nanoseconds since 1970.
    pub since_ns: Option<i64>,
    /// Nothing that was written after it.
    pub until_ns: Option<i64>,
}

/// Bytes that were written together, not cut at lines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// Where they came from; never [`Stream::Note`].
    pub stream: Stream,
    /// When they were read from the container, nanoseconds since 1970.
    pub at_ns: i64,
    /// The bytes.
    pub bytes: Bytes,
}

/// Told when no more will be written. Without one the reading ends at what is there.
pub type Ended = Pin<Box<dyn Future<Output = ()> + Send>>;

/// Pieces in the order in which they were written.
pub type Pieces = Pin<Box<dyn futures_util::Stream<Item = io::Result<Piece>> + Send>>;

/// Reads the log in the container's folder, which need not have one yet. With `follow` it goes on until that resolves,
/// then to what is written by then. Rotation does not disturb it; what was rotated away before it was read is missing.
///
/// # Errors
/// When the folder cannot be opened. Later errors are the stream's last item.
pub fn read(folder: &Path, query: Query, follow: Option<Ended>) -> io::Result<Pieces> {
    let mut reader = Reader::open(folder)?;
    let begin = match query.from {
        // Now is now, not when the stream is first asked.
        From::Now => Some(Position::frame(reader.committed()?)),
        From::Start | From::Tail(_) => None,
    };
    let reading = Reading {
        folder: folder.to_owned(),
        query,
        place: begin.map_or(Place::Unknown, Place::At),
        reader: Some(reader),
        follow,
        watch: None,
        ready: VecDeque::new(),
        over: false,
    };
    Ok(Box::pin(stream::unfold(reading, |mut reading| async move {
        match reading.next().await {
            Ok(piece) => piece.map(|piece| (Ok(piece), reading)),
            Err(error) => {
                reading.over = true;
                Some((Err(error), reading))
            }
        }
    })))
}

struct Reading {
    folder: PathBuf,
    query: Query,
    place: Place,
    /// Away while it reads.
    reader: Option<Reader>,
    follow: Option<Ended>,
    watch: Option<Watch>,
    ready: VecDeque<Piece>,
    over: bool,
}

#[derive(Debug, Clone, Copy)]
enum Place {
    /// Still to be looked for.
    Unknown,
    At(Position),
}

impl Reading {
    async fn next(&mut self) -> io::Result<Option<Piece>> {
        loop {
            if let Some(piece) = self.ready.pop_front() {
                return Ok(Some(piece));
            }
            if self.over {
                return Ok(None);
            }
            // Asked before the step: what is written before the end is then read by the step.
            let is_last = self.follow.is_none();
            let found = self.step().await?;
            if found || !self.ready.is_empty() {
                continue;
            }
            if is_last {
                self.over = true;
            } else {
                self.wait().await?;
            }
        }
    }

    /// Reads a step; `false` when nothing was there.
    async fn step(&mut self) -> io::Result<bool> {
        let Some(mut reader) = self.reader.take() else { return Ok(false) };
        let (query, place) = (self.query, self.place);
        let (reader, read) = tokio::task::spawn_blocking(move || {
            let read = read_step(&mut reader, query, place);
            (reader, read)
        })
        .await?;
        self.reader = Some(reader);
        let read = read?;
        self.place = Place::At(read.position);
        self.over |= read.past_until;
        self.ready.extend(read.pieces);
        Ok(read.found)
    }

    /// Waits until there may be more, or no more will come.
    async fn wait(&mut self) -> io::Result<()> {
        let Some(ended) = &mut self.follow else { return Ok(()) };
        match &mut self.watch {
            None => {
                // From here on nothing is missed; what came before is read by one more step.
                self.watch = Some(Watch::on(&self.folder)?);
            }
            Some(watch) => {
                let until = time_until(self.query.until_ns);
                tokio::select! {
                    () = ended => self.follow = None,
                    () = tokio::time::sleep(until) => self.follow = None,
                    () = watch.changed() => {
                        if !watch.is_final() {
                            self.watch = None;
                        }
                    }
                }
            }
        }
        Ok(())
    }
}

/// How long to wait for what is written until then; far beyond any follower's life when it is without end.
fn time_until(until_ns: Option<i64>) -> Duration {
    let Some(until_ns) = until_ns else { return Duration::from_secs(10 * 365 * 86_400) };
    Duration::from_nanos(u64::try_from(until_ns.saturating_sub(sampan_runtime::time::now_ns())).unwrap_or(0))
}

struct Read {
    position: Position,
    pieces: Vec<Piece>,
    found: bool,
    past_until: bool,
}

fn read_step(reader: &mut Reader, query: Query, place: Place) -> io::Result<Read> {
    let end = reader.committed()?;
    let mut position = match place {
        Place::At(position) => position,
        Place::Unknown => begin(reader, query, end)?,
    };
    let step = reader.step(&mut position, end, STEP)?;
    let found = !step.is_empty();
    let (bytes, frames) = step.into_pieces();
    let bytes = Bytes::from(bytes);
    let streams = Streams { stdout: query.stdout, stderr: query.stderr };
    let mut read = Read { position, pieces: Vec::with_capacity(frames.len()), found, past_until: false };
    for frame in frames {
        if query.until_ns.is_some_and(|until| frame.time_ns > until) {
            read.past_until = true;
            break;
        }
        if streams.has(frame.stream) && query.since_ns.is_none_or(|since| frame.time_ns >= since) {
            let piece = Piece { stream: frame.stream, at_ns: frame.time_ns, bytes: bytes.slice(frame.data) };
            read.pieces.push(piece);
        }
    }
    Ok(read)
}

fn begin(reader: &mut Reader, query: Query, end: u64) -> io::Result<Position> {
    let streams = Streams { stdout: query.stdout, stderr: query.stderr };
    let tail = match query.from {
        From::Start | From::Now => None,
        From::Tail(lines) => Some(reader.tail(usize::try_from(lines).unwrap_or(usize::MAX), streams, end)?),
    };
    let since = query.since_ns.map(|since| reader.since(since)).transpose()?;
    Ok(match (tail, since) {
        (Some(tail), Some(since)) if since.at > tail.at => since,
        (Some(tail), _) => tail,
        (None, since) => since.unwrap_or_default(),
    })
}

#[cfg(test)]
mod tests {
    use futures_util::StreamExt;
    use sampan_runtime::log::Writer;
    use sampan_runtime::sandbox::LogLimits;
    use tokio::sync::oneshot;

    use super::*;

    const ALL: Query = Query { stdout: true, stderr: true, from: From::Start, since_ns: None, until_ns: None };

    fn writer(folder: &Path) -> Writer {
        let limits = LogLimits { file_bytes: 100_000, files: 3, transient: false };
        Writer::open(std::fs::File::open(folder).expect("the folder"), limits).expect("a writer")
    }

    async fn text(pieces: Pieces) -> String {
        let bytes: Vec<Piece> = pieces.map(|piece| piece.expect("a piece")).collect().await;
        bytes.iter().map(|piece| String::from_utf8_lossy(&piece.bytes).into_owned()).collect()
    }

    #[tokio::test]
    async fn a_query_takes_its_part() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let mut log = writer(folder.path());
        log.append(Stream::Stdout, 10, b"one\ntwo\n")?;
        log.append(Stream::Stderr, 20, b"three\n")?;
        log.append(Stream::Note, 25, b"not the container's")?;
        log.append(Stream::Stdout, 30, b"four")?;
        let part = |query| text(read(folder.path(), query, None).expect("a log"));
        assert_eq!(part(ALL).await, "one\ntwo\nthree\nfour");
        assert_eq!(part(Query { stderr: false, ..ALL }).await, "one\ntwo\nfour");
        assert_eq!(part(Query { from: From::Tail(2), stderr: false, ..ALL }).await, "two\nfour");
        assert_eq!(part(Query { from: From::Tail(0), ..ALL }).await, "");
        assert_eq!(part(Query { since_ns: Some(20), ..ALL }).await, "three\nfour");
        assert_eq!(part(Query { until_ns: Some(20), ..ALL }).await, "one\ntwo\nthree\n");
        assert_eq!(part(Query { from: From::Now, ..ALL }).await, "");
        Ok(())
    }

    #[tokio::test]
    async fn a_follower_sees_all_from_before_the_first_byte_to_the_end() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let (end, ended) = oneshot::channel::<()>();
        let ended: Ended = Box::pin(async {
            let _ = ended.await;
        });
        // From now, which is before anything: there is no log yet.
        let pieces = read(folder.path(), Query { from: From::Now, ..ALL }, Some(ended))?;
        let follower = tokio::spawn(text(pieces));
        let path = folder.path().to_owned();
        let expected = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(50));
            let mut log = writer(&path);
            let mut expected = String::new();
            for number in 0..5000 {
                let line = format!("line {number}\n");
                log.append(Stream::Stdout, number, line.as_bytes()).expect("it is written");
                expected += &line;
                if number % 500 == 0 {
                    std::thread::sleep(Duration::from_millis(5));
                }
            }
            expected
        })
        .await?;
        end.send(()).expect("the follower lives");
        assert_eq!(follower.await?, expected);
        Ok(())
    }

    #[tokio::test]
    async fn many_followers_of_one_log_come_and_go() -> anyhow::Result<()> {
        let folder = tempfile::tempdir()?;
        let mut log = writer(folder.path());
        log.append(Stream::Stdout, 1, b"first ")?;
        let forever = || -> Option<Ended> { Some(Box::pin(std::future::pending())) };
        let mut followers = Vec::new();
        for _ in 0..20 {
            let mut pieces = read(folder.path(), ALL, forever())?;
            assert_eq!(pieces.next().await.expect("a piece")?.bytes, "first ");
            followers.push(pieces);
        }
        // Half of them leave while they wait.
        for pieces in &mut followers[..10] {
            assert!(tokio::time::timeout(Duration::from_millis(5), pieces.next()).await.is_err());
        }
        followers.drain(..10);
        let writing = tokio::task::spawn_blocking(move || {
            std::thread::sleep(Duration::from_millis(20));
            log.append(Stream::Stdout, 2, b"second")
        });
        for pieces in &mut followers {
            let piece = tokio::time::timeout(Duration::from_secs(10), pieces.next()).await?;
            assert_eq!(piece.expect("a piece")?.bytes, "second");
        }
        writing.await??;
        Ok(())
    }
}
