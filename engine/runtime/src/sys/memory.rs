//! What a process keeps resident: glibc's allocator and the pages of its own program. Source: mallopt(3),
//! malloc_trim(3), madvise(2), proc_pid_maps(5).

use std::io;

/// Bytes from which a block has pages of its own, and of free memory at the heap's end that are given back. Left to
/// itself glibc raises both to twice the largest block that was ever freed, as the 19 MiB of a password's hash.
const THRESHOLD: libc::c_int = 128 << 10;

/// Makes the allocator keep little: at most two arenas (each thread's own would keep what it once took), and fixed
/// thresholds. Whether it agreed.
pub fn be_thrifty() -> bool {
    let settings = [(libc::M_ARENA_MAX, 2), (libc::M_MMAP_THRESHOLD, THRESHOLD), (libc::M_TRIM_THRESHOLD, THRESHOLD)];
    // SAFETY: mallopt(3) takes two integers; it is called before other threads are made.
    settings.iter().all(|(name, value)| unsafe { libc::mallopt(*name, *value) == 1 })
}

/// Gives free pages of all arenas back to the kernel, as after a big job. Whether any were.
pub fn trim() -> bool {
    // SAFETY: malloc_trim(3) takes a number and locks each arena by itself.
    unsafe { libc::malloc_trim(0) == 1 }
}

/// Unmaps the pages of the program's own code: the kernel maps sixteen around each that is touched, so that after a
/// while nearly all of a large program counts as resident, and its pages are the last to be reclaimed. Those that are
/// needed come back from the page cache by minor faults. Gives the bytes of address space looked at.
///
/// # Errors
/// What /proc or the kernel refused.
pub fn unmap_code() -> io::Result<usize> {
    let program = std::fs::read_link("/proc/self/exe")?;
    let mut bytes = 0;
    for line in std::fs::read_to_string("/proc/self/maps")?.lines() {
        let Some(range) = code_of(line, &program.to_string_lossy()) else { continue };
        // SAFETY: a private mapping of a file, executable and not writable: none of its pages was ever changed, so that
        // each is read again from the same file (madvise(2), MADV_DONTNEED). The range is the kernel's own.
        if unsafe { libc::madvise(range.start as *mut libc::c_void, range.len(), libc::MADV_DONTNEED) } != 0 {
            return Err(io::Error::last_os_error());
        }
        bytes += range.len();
    }
    Ok(bytes)
}

/// The range of a line of /proc/PID/maps when it is code of that program.
fn code_of(line: &str, program: &str) -> Option<std::ops::Range<usize>> {
    let mut words = line.splitn(6, ' ');
    let (range, mode) = (words.next()?, words.next()?);
    if mode != "r-xp" || words.nth(3)?.trim_start() != program {
        return None;
    }
    let (start, end) = range.split_once('-')?;
    Some(usize::from_str_radix(start, 16).ok()?..usize::from_str_radix(end, 16).ok()?)
}

#[cfg(test)]
mod tests {
    #[test]
    fn code_is_unmapped_and_comes_back() {
        let resident = || {
            let text = std::fs::read_to_string("/proc/self/smaps").expect("smaps");
            let program = std::fs::read_link("/proc/self/exe").expect("exe");
            let mut own = false;
            let mut kib = 0_u64;
            for line in text.lines() {
                if line.split(' ').next().is_some_and(|word| word.contains('-')) {
                    own = super::code_of(line, &program.to_string_lossy()).is_some();
                } else if let Some(rest) = line.strip_prefix("Rss:").filter(|_| own) {
                    kib += rest.trim().trim_end_matches(" kB").parse::<u64>().expect("a number");
                }
            }
            kib
        };
        // All of it: how much the kernel maps around what was touched so far depends on what the page cache held.
        let program = std::fs::read_link("/proc/self/exe").expect("exe");
        for line in std::fs::read_to_string("/proc/self/maps").expect("maps").lines() {
            let Some(range) = super::code_of(line, &program.to_string_lossy()) else { continue };
            // SAFETY: reads the mapping's own pages in, changes none of them (madvise(2), MADV_POPULATE_READ).
            let read = unsafe { libc::madvise(range.start as *mut _, range.len(), libc::MADV_POPULATE_READ) };
            assert_eq!(read, 0);
        }
        let before = resident();
        let looked_at = super::unmap_code().expect("madvise");
        let after = resident();
        assert!(looked_at > 100_000 && before > 0, "{looked_at} bytes, {before} KiB");
        // The reading of smaps itself brings some back, and other tests of this process run on.
        assert!(after < before, "{before} KiB before, {after} KiB after");
    }

    #[test]
    fn only_unwritable_code_of_the_program_is_taken() {
        let taken = |line| super::code_of(line, "/usr/bin/a b");
        assert_eq!(taken("1000-3000 r-xp 00001000 fe:00 12      /usr/bin/a b"), Some(0x1000..0x3000));
        for other in [
            "1000-3000 r--p 00001000 fe:00 12      /usr/bin/a b",
            "1000-3000 rwxp 00001000 fe:00 12      /usr/bin/a b",
            "1000-3000 r-xp 00001000 fe:00 12      /usr/lib/libc.so.6",
            "1000-3000 r-xp 00000000 00:00 0       [vdso]",
            "1000-3000 r-xp 00000000 00:00 0",
            "",
        ] {
            assert_eq!(taken(other), None, "{other}");
        }
    }

    fn resident_kib() -> u64 {
        let text = std::fs::read_to_string("/proc/self/status").expect("status");
        let line = text.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
        line.split_whitespace().nth(1).expect("number").parse().expect("number")
    }

    #[test]
    fn what_was_freed_between_what_is_held_goes_back_to_the_kernel() {
        assert!(super::be_thrifty());
        let mut blocks: Vec<Box<[u8]>> = (0..4096).map(|_| vec![1_u8; 32 << 10].into_boxed_slice()).collect();
        let full = resident_kib();
        // Every second one: the heap's end stays in use, so that free(3) alone gives nothing back.
        let mut place = 0;
        blocks.retain(|_| {
            place += 1;
            place % 2 == 0
        });
        super::trim();
        let trimmed = resident_kib();
        // Half of 64 MiB: other tests of this process take and give memory meanwhile.
        assert!(trimmed + 32 * 1024 < full, "{full} KiB before, {trimmed} KiB after");
        assert_eq!(blocks.len(), 2048);
    }
}
