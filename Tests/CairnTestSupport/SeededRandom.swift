// Part of Cairn, a content-addressed blob store.

public import CairnCore
internal import Synchronization

/// A small generator whose whole future follows from its seed: SplitMix64 (Steele, Lea, Flood).
public struct SeededGenerator: RandomNumberGenerator, Sendable {
    private var state: UInt64

    /// The generator of a seed.
    public init(seed: UInt64) { state = seed }

    /// The next 64 bits.
    public mutating func next() -> UInt64 {
        state &+= 0x9e37_79b9_7f4a_7c15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xbf58_476d_1ce4_e5b9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94d0_49bb_1331_11eb
        return mixed ^ (mixed >> 31)
    }
}

/// A source of bytes that repeats from its seed, for any number of threads.
public final class SeededRandom: RandomSource {
    private let generator: Mutex<SeededGenerator>

    /// The source of a seed.
    public init(seed: UInt64) { generator = Mutex(SeededGenerator(seed: seed)) }

    /// Overwrites all of `bytes` with the next ones.
    public func fill(_ bytes: inout MutableSpan<UInt8>) {
        // A span cannot enter the closure: each call takes a generator of its own.
        var own = SeededGenerator(seed: generator.withLock { $0.next() })
        var word: UInt64 = 0
        for index in bytes.indices {
            if index % 8 == 0 { word = own.next() }
            bytes[index] = UInt8(truncatingIfNeeded: word)
            word >>= 8
        }
    }
}
