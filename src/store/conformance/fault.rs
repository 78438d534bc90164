//! What can be wrong with a store.

use crate::store::StoreErrorKind;

macro_rules! faults {
    ($($(#[$meta:meta])* $name:ident,)*) => {
        /// One thing that is wrong with a [`FaultyStore`](super::FaultyStore).
        #[derive(Debug, Clone, Copy, PartialEq, Eq)]
        #[non_exhaustive]
        pub enum Fault {
            /// Every append fails with an error of this kind, and keeps nothing.
            FailsAppend(StoreErrorKind),
            /// As many appends as this, from when the fault was set, fail for now and keep nothing; the next work.
            FailsFirst(usize),
            /// One append is kept and answers an error that passes; the next work.
            AnswersErrorButKeeps,
            /// No append ever ends.
            HangsAppend,
            /// Every append panics.
            Panics,
            $($(#[$meta])* $name,)*
        }

        impl Fault {
            /// The faults that break the contract quietly: each is found by a check of the suite.
            pub const QUIET: &'static [Self] = &[$(Self::$name),*];
        }
    };
}

faults! {
    /// The last event of a batch is not kept.
    LosesLastOfBatch,
    /// Details are not kept beyond the first key.
    LosesDetails,
    /// What is deeper than the third level of the details is not kept.
    LosesDepth,
    /// The fields of later versions are not kept.
    LosesUnknownFields,
    /// `classification` is not kept.
    LosesClassification,
    /// Text is cut at 255 bytes.
    TruncatesText,
    /// `user_email` becomes lower case.
    LowersUserEmail,
    /// Text is trimmed.
    TrimsText,
    /// U+FFFD, which stands for U+0000, is dropped.
    DropsReplacements,
    /// Letters and their accents are composed.
    ComposesAccents,
    /// Empty text becomes null.
    EmptyIsNull,
    /// Numbers become floats.
    NumbersAreFloats,
    /// Floats lose the last of their bits.
    RoundsFloats,
    /// Times lose their microseconds.
    RoundsToMillis,
    /// Statuses are cut at 599.
    ClampsOutcome,
    /// Ids have 64 bits.
    HalvesIds,
    /// Text longer than 255 bytes is refused.
    RejectsLongText,
    /// Quotes and control characters are refused.
    RejectsHostileText,
    /// Nothing is found by its id.
    FindsNothing,
    /// What is found by an id is another event.
    FindsAnother,
    /// Looking for an event of a user finds that of another.
    GetsOfAnybody,
    /// Looking for an event of a user finds none.
    GetsOfNobody,
    /// Looking for an id that is not there is an error.
    FailsToMiss,
    /// `since` excludes its instant.
    SinceExclusive,
    /// `until` includes its instant.
    UntilInclusive,
    /// A span that ends before it begins is an error.
    RefusesEmptySpans,
    /// Text is compared without regard to case.
    FoldsCase,
    /// `%` and `_` stand for other text.
    MatchesLike,
    /// Empty text matches what is missing.
    EmptyMatchesNull,
    /// A status of 0 matches what is missing.
    ZeroMatchesNull,
    /// Types are compared by their beginning.
    MatchesTypePrefix,
    /// The phase is not looked at.
    IgnoresPhase,
    /// One condition is enough.
    MatchesAnyCondition,
    /// Quotes in a filter are an error.
    BreaksOnQuotes,
    /// A class of statuses is taken for its first status.
    TakesClassesForStatuses,
    /// Only the first of several values is looked at.
    ForgetsTheSecondValue,
    /// What is missing passes no negation.
    NegationNeedsSomething,
    /// A star stands for one character at least.
    StarsNeedSomething,
    /// What stands around stars may overlap, and be in any order.
    StarsOverlap,
    /// Beside a star, `%` and `_` stand for other text.
    MatchesLikeBesideStars,
    /// Beside a star, text is compared without regard to case.
    FoldsCaseBesideStars,
    /// What is unwanted is looked at only where nothing is wanted.
    WantedHidesUnwanted,
    /// A tally leaves out what has nothing in the field.
    TallyForgetsMissing,
    /// A tally gives more values than were asked for.
    TallyIgnoresAtMost,
    /// A tally is in the order of its values.
    TallyOrdersByValue,
    /// A tally counts everything.
    TallyIgnoresFilter,
    /// A bucket has its end, and not its beginning.
    BucketsIncludeTheirEnd,
    /// The activity is that of everything.
    ActivityIgnoresFilter,
    /// Oldest first.
    OldestFirst,
    /// Ties by id, smallest first.
    TiesReversed,
    /// Last to arrive first.
    OrdersByArrival,
    /// The event of the cursor is on the next page, too.
    CursorInclusive,
    /// The next page begins at the next instant.
    CursorSkipsTies,
    /// A cursor whose event is not kept gives nothing.
    CursorNeedsItsEvent,
    /// One more is skipped.
    SkipOffByOne,
    /// One more is given.
    LimitOffByOne,
    /// A limit of 0 is none.
    ZeroIsNoLimit,
    /// A skip that is no `i64` is an error.
    RefusesGreatSkips,
    /// A count is one too many.
    CountOffByOne,
    /// A count counts everything.
    CountIgnoresFilter,
    /// An empty batch is refused.
    RefusesEmptyBatches,
    /// What is appended again is kept again.
    KeepsRepeats,
    /// What is appended again replaces what was there.
    Upserts,
    /// What is appended again is an error.
    RefusesRepeats,
    /// A batch with an event that is already there is left out as a whole.
    DropsBatchesWithRepeats,
    /// What another handle appended is not known when it is appended again.
    KeepsRepeatsOfOthers,
    /// A batch is acknowledged and seen only after the next.
    DelaysVisibility,
    /// What another handle appended is not seen.
    SeesOnlyItsOwn,
    /// Of two appends at the same time, one loses an event.
    LosesUnderConcurrency,
    /// Tidying loses an event.
    TidyLoses,
    /// Tidying forgets which ids there are.
    TidyForgetsIds,
    /// Tidying always has more to do.
    TidyNeverEnds,
    /// A purge takes what is as old as its instant.
    PurgeInclusive,
    /// A purge removes nothing but says so.
    PurgeOnlySaysSo,
    /// A purge takes everything at once.
    PurgeIgnoresAtMost,
    /// A purge always says that there is no more.
    PurgeStopsEarly,
    /// A purge always says that there is more.
    PurgeNeverEnds,
    /// A purge says one too many.
    PurgeMiscounts,
    /// A purge takes the newest event, too.
    PurgeTakesTheNewest,
    /// What was purged is still found by its id.
    PurgeLeavesIds,
    /// `init` leaves the events.
    InitKeepsEvents,
    /// `init` leaves a store that takes no events.
    InitBreaksAppends,
    /// `init` leaves the ids.
    InitKeepsIds,
    /// `ensure_indexes` makes the store anew.
    EnsureDestroys,
    /// `ensure_indexes` needs a store that has events.
    EnsureNeedsEvents,
    /// `ensure_indexes` fails when there is nothing missing.
    EnsureFailsTwice,
    /// `ensure_indexes` fails while another is at it.
    EnsureFailsTogether,
    /// `capabilities` denies the reader.
    DeniesItsReader,
    /// `capabilities` claims another part.
    ClaimsWhatItLacks,
    /// `health` is always bad.
    HealthAlwaysBad,
    /// `health` is always good.
    HealthAlwaysGood,
    /// `health` tries an append and leaves it.
    HealthLeavesAnEvent,
    /// Appends are acknowledged after `close`.
    AcknowledgesAfterClose,
    /// Appends hang after `close`.
    HangsAfterClose,
    /// `close` loses the last event.
    CloseLosesLast,
    /// The `started` events of the living are closed.
    ClosesTheLiving,
    /// `started` events are closed although they were completed.
    ClosesTheCompleted,
    /// No `started` event is ever closed.
    NeverCloses,
    /// `started` events are closed again by each who looks.
    ClosesAgain,
    /// What is kept for an orphan does not name it.
    ClosesWithoutLink,
    /// What is said to be closed is one too many.
    ClosesAndMiscounts,
}
