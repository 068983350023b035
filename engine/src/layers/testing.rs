//! Small tars for tests, byte by byte.

/// One entry of a test's tar.
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub name: Vec<u8>,
    pub kind: u8,
    pub mode: u32,
    pub uid: u64,
    pub gid: u64,
    pub mtime: i64,
    pub link: Vec<u8>,
    pub device: (u32, u32),
    pub data: Vec<u8>,
    pub pax: Vec<(String, Vec<u8>)>,
}

impl Entry {
    pub fn new(name: &str, kind: u8, mode: u32) -> Self {
        let name = name.as_bytes().to_vec();
        Self {
            name,
            kind,
            mode,
            uid: 0,
            gid: 0,
            mtime: 1_700_000_000,
            link: vec![],
            device: (0, 0),
            data: vec![],
            pax: vec![],
        }
    }

    pub fn file(name: &str, data: &[u8]) -> Self {
        Self { data: data.to_vec(), ..Self::new(name, b'0', 0o644) }
    }

    pub fn folder(name: &str, mode: u32) -> Self {
        Self::new(name, b'5', mode)
    }

    pub fn symlink(name: &str, target: &str) -> Self {
        Self { link: target.as_bytes().to_vec(), ..Self::new(name, b'2', 0o777) }
    }

    pub fn link(name: &str, target: &str) -> Self {
        Self { link: target.as_bytes().to_vec(), ..Self::new(name, b'1', 0o644) }
    }

    pub fn pax(mut self, key: &str, value: &[u8]) -> Self {
        self.pax.push((key.to_owned(), value.to_vec()));
        self
    }
}

fn number(value: u64, width: usize) -> Vec<u8> {
    let mut text = format!("{value:0>digits$o}", digits = width - 1).into_bytes();
    text.push(0);
    assert_eq!(text.len(), width, "{value} does not fit");
    text
}

/// A header of 512 bytes with its checksum.
pub(crate) fn header(entry: &Entry, size: u64) -> Vec<u8> {
    let mut block = entry.name[..entry.name.len().min(100)].to_vec();
    block.resize(100, 0);
    block.extend(number(u64::from(entry.mode), 8));
    block.extend(number(entry.uid, 8));
    block.extend(number(entry.gid, 8));
    block.extend(number(size, 12));
    block.extend(number(entry.mtime.unsigned_abs(), 12));
    block.extend(b"        ");
    block.push(entry.kind);
    block.extend_from_slice(&entry.link[..entry.link.len().min(100)]);
    block.resize(257, 0);
    block.extend(b"ustar\x0000");
    block.resize(329, 0);
    block.extend(number(u64::from(entry.device.0), 8));
    block.extend(number(u64::from(entry.device.1), 8));
    block.resize(512, 0);
    seal(&mut block);
    block
}

/// Writes the checksum of a header anew.
pub(crate) fn seal(block: &mut [u8]) {
    block[148..156].copy_from_slice(b"        ");
    let sum: u64 = block.iter().map(|byte| u64::from(*byte)).sum();
    block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
}

fn padded(out: &mut Vec<u8>, data: &[u8]) {
    out.extend_from_slice(data);
    out.resize(out.len().next_multiple_of(512), 0);
}

/// A whole tar with its end marks.
pub(crate) fn tar(entries: &[Entry]) -> Vec<u8> {
    let mut out = Vec::new();
    for entry in entries {
        if !entry.pax.is_empty() {
            let mut body = Vec::new();
            for (key, value) in &entry.pax {
                let length = key.len() + value.len() + 3;
                let length = length + (length + length.to_string().len()).to_string().len();
                body.extend(format!("{length} {key}=").as_bytes());
                body.extend_from_slice(value);
                body.push(b'\n');
            }
            out.extend(header(&Entry::new("PaxHeaders/x", b'x', 0o644), body.len() as u64));
            padded(&mut out, &body);
        }
        out.extend(header(entry, entry.data.len() as u64));
        padded(&mut out, &entry.data);
    }
    out.resize(out.len() + 1024, 0);
    out
}
