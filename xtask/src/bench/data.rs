//! Made-up data, the same in every run: a small generator of numbers (SplitMix64; Steele, Lea, Flood 2014) and words.
//!
//! Nothing of it is random in the sense of cryptography, or true in any other.

/// Numbers that look random.
pub struct Numbers(u64);

impl Numbers {
    /// The row that belongs to a seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next number.
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below another; 0 if that is 0.
    pub fn below(&mut self, most: u64) -> u64 {
        self.next().checked_rem(most).unwrap_or_default()
    }

    /// A number below another, small ones far more often: how vulnerabilities are spread over packages.
    pub fn few(&mut self, most: u64) -> u64 {
        let (a, b, c) = (self.below(most), self.below(most.max(1)), self.below(most.max(1)));
        let square = a.saturating_mul(b).checked_div(most.max(1)).unwrap_or_default();
        square.saturating_mul(c).checked_div(most.max(1)).unwrap_or_default()
    }

    /// One of a list; nothing if it is empty.
    pub fn one<'a, T>(&mut self, list: &'a [T]) -> Option<&'a T> {
        let at = usize::try_from(self.below(list.len() as u64)).ok()?;
        list.get(at)
    }

    /// A word of some letters.
    pub fn word(&mut self) -> &'static str {
        self.one(&WORDS).copied().unwrap_or_default()
    }

    /// So many words.
    pub fn text(&mut self, words: u64) -> String {
        let mut out = String::new();
        for _ in 0..words {
            out.push_str(self.word());
            out.push(' ');
        }
        out
    }

    /// Bytes that no compression makes smaller.
    pub fn bytes(&mut self, count: usize) -> Vec<u8> {
        let mut out = Vec::with_capacity(count + 8);
        while out.len() < count {
            out.extend_from_slice(&self.next().to_le_bytes());
        }
        out.truncate(count);
        out
    }
}

const WORDS: [&str; 48] = [
    "a",
    "allows",
    "an",
    "arbitrary",
    "attacker",
    "before",
    "buffer",
    "bypass",
    "by",
    "certain",
    "code",
    "component",
    "condition",
    "crafted",
    "denial",
    "discovered",
    "due",
    "execute",
    "exists",
    "file",
    "flaw",
    "function",
    "handling",
    "heap",
    "improper",
    "in",
    "input",
    "issue",
    "kernel",
    "leads",
    "length",
    "local",
    "memory",
    "module",
    "of",
    "overflow",
    "parameter",
    "parser",
    "pointer",
    "remote",
    "request",
    "service",
    "the",
    "to",
    "user",
    "validation",
    "via",
    "when",
];
