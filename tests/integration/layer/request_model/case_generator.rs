//! Drawing of cases.

/// From the outside to the inside.
#[derive(Debug, Clone)]
pub(super) struct Stack {
    pub(super) parts: Vec<Part>,
    pub(super) handler: Handler,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum Part {
    Audit {
        log: usize,
        kind: Kind,
    },
    Retry(u8),
    Timeout,
    Task,
    Anew,
    Answer,
    /// Passes the response on later.
    Delay,
    /// Two calls at once: the first answer counts, and the other call is dropped.
    Hedge,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// No rule names the request.
    Watch,
    After,
    Ahead,
}

#[derive(Debug, Clone)]
pub(super) struct Handler {
    pub(super) pause: u64,
    /// The result of its first call, of its second, and so on.
    pub(super) ends: Vec<HandlerEnd>,
    pub(super) subs: Vec<Sub>,
}

#[derive(Debug, Clone, Copy)]
pub(super) enum HandlerEnd {
    Status(u16),
    Error,
    Panic,
}

/// A request that a handler sends.
#[derive(Debug, Clone)]
pub(super) struct Sub {
    pub(super) stack: Stack,
    pub(super) copies_extensions: bool,
    pub(super) on_its_own_task: bool,
    pub(super) passes_on: bool,
}

#[derive(Debug, Clone)]
pub(super) struct Case {
    pub(super) stack: Stack,
    /// The duration of an append, in milliseconds.
    pub(super) append: u64,
    pub(super) hangs_up: Option<HangUp>,
    pub(super) outage: Option<Outage>,
}

/// The moment at which the client drops its future.
#[derive(Debug, Clone, Copy)]
pub(super) enum HangUp {
    /// After so many milliseconds.
    At(u64),
    /// Instead of a further poll, when it is woken after so many.
    AfterPolls(u32),
}

/// A store that takes nothing for longer than the write timeout.
#[derive(Debug, Clone, Copy)]
pub(super) struct Outage {
    /// The time at which it begins, in milliseconds.
    pub(super) from: u64,
    /// Appends fail; otherwise they hang until it is over.
    pub(super) fails: bool,
}

impl Case {
    /// Returns true if some layer that a rule names learns at once that the client leaves: there is no task outside of it.
    pub(super) fn is_seen_to_leave(&self) -> bool {
        let mut parts = self.stack.parts.iter();
        let first = parts.find(|part| {
            matches!(part, Part::Task) || matches!(part, Part::Audit { kind, .. } if *kind != Kind::Watch)
        });
        matches!(first, Some(Part::Audit { .. }))
    }
}

/// Reads a case off bytes; zeros are the simplest.
pub(super) struct Draw<'a>(std::slice::Iter<'a, u8>, bool);

impl<'a> Draw<'a> {
    pub(super) fn of(bytes: &'a [u8]) -> Self {
        Self(bytes.iter(), true)
    }

    /// Reads a case as it was read before there were outages.
    pub(super) fn without_outages(bytes: &'a [u8]) -> Self {
        Self(bytes.iter(), false)
    }

    fn below(&mut self, end: u8) -> u8 {
        self.0.next().copied().unwrap_or(0) % end
    }

    pub(super) fn case(&mut self) -> Case {
        let append = self.below(3).into();
        if !self.1 {
            let hangs_up = [None, None, None, Some(0), Some(1), Some(4)][usize::from(self.below(6))].map(HangUp::At);
            return Case { append, hangs_up, outage: None, stack: self.stack(2) };
        }
        let hangs_up = match self.below(8) {
            0..=2 => None,
            at @ 3..=5 => Some(HangUp::At([0, 1, 4][usize::from(at) - 3])),
            _ => Some(HangUp::AfterPolls(1 + u32::from(self.below(8)))),
        };
        let outage = hangs_up
            .filter(|_| self.below(2) == 1)
            .map(|_| Outage { from: [0, 2, 5][usize::from(self.below(3))], fails: self.below(2) == 1 });
        if outage.is_none() {
            return Case { append, hangs_up, outage, stack: self.stack(2) };
        }
        let mut stack = self.stack(0);
        // The caller of a request made anew is in the process, and is told if its event is not written.
        stack.parts.iter_mut().filter(|part| matches!(part, Part::Anew)).for_each(|part| *part = Part::Delay);
        Case { append, hangs_up, outage, stack }
    }

    fn audit(&mut self) -> Part {
        let log = usize::from(self.below(4) == 3);
        Part::Audit { log, kind: [Kind::After, Kind::Ahead, Kind::Watch][usize::from(self.below(3))] }
    }

    fn stack(&mut self, depth: u8) -> Stack {
        // Additions in a stack without a layer would belong to the request around it.
        let mut parts = vec![self.audit()];
        for _ in 0..self.below(5) {
            let part = match self.below(if self.1 { 11 } else { 9 }) {
                0..=3 => self.audit(),
                4 => Part::Retry(1 + self.below(2)),
                5 => Part::Timeout,
                6 => Part::Task,
                7 => Part::Answer,
                8 => Part::Anew,
                9 => Part::Delay,
                _ => Part::Hedge,
            };
            parts.push(part);
        }
        Stack { parts, handler: self.handler(depth) }
    }

    fn handler(&mut self, depth: u8) -> Handler {
        let pause = [0, 1, 6][usize::from(self.below(3))];
        let ends = (0..3)
            .map(|_| match self.below(8) {
                end @ 0..=5 => HandlerEnd::Status([200, 201, 302, 404, 500, 502][usize::from(end)]),
                6 => HandlerEnd::Error,
                _ => HandlerEnd::Panic,
            })
            .collect();
        let subs = if depth == 0 { 0 } else { self.below(6).saturating_sub(3) };
        let subs = (0..subs)
            .map(|_| Sub {
                copies_extensions: self.below(2) == 1,
                on_its_own_task: self.below(3) == 2,
                passes_on: self.below(3) == 2,
                stack: self.stack(depth - 1),
            })
            .collect();
        Handler { pause, ends, subs }
    }
}
