//! Glibc's allocator: how many arenas it keeps, and giving back what is free. Source: mallopt(3), malloc_trim(3).

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

#[cfg(test)]
mod tests {
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
