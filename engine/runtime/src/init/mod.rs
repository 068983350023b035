//! What a container's first process does before it becomes the program; [`run`] is the ordered list.
//!
//! It works in a copy of its parent's memory, with one thread, and ends by execve(2) or at once. It never trusts the
//! root: every path in it is opened by openat2(2) inside it.

mod command;
mod furnish;
mod program;
mod reaper;
mod root;
mod user;

use std::collections::VecDeque;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

pub use reaper::main as reaper;
pub(crate) use root::place_one;
pub(crate) use user::look_up;

use crate::failure::{Doing, refusal};
use crate::namespaces::Word;
use crate::spec::{Furniture, Orders, Program};
use crate::sys::clone::exit_now;
use crate::sys::descriptors::keep_only;
use crate::wire::socket::Connection;
use crate::wire::{Refusal, RefusalKind};
use crate::{namespaces, terminal};

/// What is said to an init.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Say {
    /// What to do; the first descriptors beside it.
    Orders(Box<Orders>),
    /// Further descriptors.
    More,
    /// A process of exec: what to run, its streams beside it.
    Exec(Box<Program>),
    /// Become the program now.
    Run,
}

/// What an init knows from its birth, before any order.
#[derive(Debug)]
pub struct Stage<'a> {
    /// Where it puts /proc, /dev and /sys up: an empty folder of its mount namespace.
    pub stage: PathBuf,
    /// Where it attaches its root.
    pub root: PathBuf,
    /// What to put up.
    pub furniture: &'a Furniture,
    /// /dev, made outside.
    pub devices: Option<BorrowedFd<'a>>,
    /// Our own program, to run as the tiny init of a container.
    pub own_program: Option<BorrowedFd<'a>>,
    /// The user namespace is the container's own.
    pub in_user_namespace: bool,
}

/// The whole life of an init, in order. Comes back only to end.
pub fn run(stage: &Stage<'_>, connection: Connection) {
    if let Err(refusal) = steps(stage, &connection) {
        // The other side reads the end of the connection when this does not arrive.
        exit_now(i32::from(connection.send(&Word::Failed(refusal), &[]).is_err()) + 1);
    }
    exit_now(0)
}

fn steps(stage: &Stage<'_>, connection: &Connection) -> Result<(), Refusal> {
    let keep: Vec<BorrowedFd<'_>> =
        [Some(connection.as_fd()), stage.devices, stage.own_program].into_iter().flatten().collect();
    keep_only(&keep).doing(|| "close descriptors".to_owned())?;
    if !stage.in_user_namespace {
        program::plain_secure_bits()?;
    }
    let staged = furnish::furnish(stage)?;
    say(connection, &Word::Ready, &[])?;
    let Some((orders, mut descriptors)) = receive_orders(connection)? else { return Ok(()) };
    let root =
        descriptors.pop_front().ok_or_else(|| refusal(RefusalKind::Internal, "the orders came without a root"))?;
    let root = root::assemble(stage, &staged, root, &orders, &mut descriptors)?;
    let terminal = open_terminal(root.as_fd(), &orders.program)?;
    if let Some(terminal) = &terminal {
        terminal::show_as_console(root.as_fd(), terminal.slave.as_fd())?;
    }
    root::finish(root.as_fd(), &orders)?;
    drop(root);
    root::set_names(&orders)?;
    let own_program = if orders.program.init { stage.own_program } else { None };
    become_program(connection, &orders.program, terminal, descriptors, own_program)
}

/// The life of a process started by exec, already in the container's namespaces.
pub fn run_exec(connection: Connection, in_user_namespace: bool) {
    let steps = || -> Result<(), Refusal> {
        keep_only(&[connection.as_fd()]).doing(|| "close descriptors".to_owned())?;
        if in_user_namespace {
            namespaces::become_root()?;
        } else {
            program::plain_secure_bits()?;
        }
        let Some((Say::Exec(program), descriptors)) = hear(&connection)? else { return Ok(()) };
        let root = program::root_folder()?;
        let terminal = open_terminal(root.as_fd(), &program)?;
        become_program(&connection, &program, terminal, descriptors.into(), None)
    };
    if let Err(refusal) = steps() {
        exit_now(i32::from(connection.send(&Word::Failed(refusal), &[]).is_err()) + 1);
    }
    exit_now(0)
}

fn become_program(
    connection: &Connection,
    program: &Program,
    terminal: Option<terminal::Terminal>,
    descriptors: VecDeque<OwnedFd>,
    own_program: Option<BorrowedFd<'_>>,
) -> Result<(), Refusal> {
    let user = user::find(program)?;
    let prepared = Word::Prepared { user: user.user, group: user.group };
    let master: Vec<BorrowedFd<'_>> = terminal.iter().map(|terminal| terminal.master.as_fd()).collect();
    say(connection, &prepared, &master)?;
    drop(master);
    if !matches!(hear(connection)?, Some((Say::Run, _))) {
        return Ok(());
    }
    program::streams(program, terminal, descriptors)?;
    program::run(program, &user, connection, own_program)
}

fn open_terminal(root: BorrowedFd<'_>, program: &Program) -> Result<Option<terminal::Terminal>, Refusal> {
    if !program.process.terminal().unwrap_or(false) {
        return Ok(None);
    }
    let size = program.process.console_size().as_ref().map(|size| (size.height() as u16, size.width() as u16));
    terminal::open(root, size).map(Some)
}

/// Orders with all their descriptors.
type Received = (Box<Orders>, VecDeque<OwnedFd>);

fn receive_orders(connection: &Connection) -> Result<Option<Received>, Refusal> {
    let Some((Say::Orders(orders), descriptors)) = hear(connection)? else { return Ok(None) };
    let mut descriptors: VecDeque<OwnedFd> = descriptors.into();
    while descriptors.len() < orders.descriptors {
        let Some((Say::More, more)) = hear(connection)? else { return Ok(None) };
        descriptors.extend(more);
    }
    Ok(Some((orders, descriptors)))
}

fn hear(connection: &Connection) -> Result<Option<(Say, Vec<OwnedFd>)>, Refusal> {
    connection.receive::<Say>().doing(|| "hear an order".to_owned())
}

fn say(connection: &Connection, word: &Word, descriptors: &[BorrowedFd<'_>]) -> Result<(), Refusal> {
    connection.send(word, descriptors).doing(|| "answer".to_owned())
}
