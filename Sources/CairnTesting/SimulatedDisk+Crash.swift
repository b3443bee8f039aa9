// Part of Cairn, a content-addressed blob store.

/// What becomes of the changes that were not synced when the power is cut.
public struct SimulatedCrash: Hashable, Sendable {
    enum Kind: Hashable { case keepAll, dropAll, random(UInt64) }

    let kind: Kind

    /// All are kept: what a process leaves that is killed while the machine goes on.
    public static var keepAll: Self { Self(kind: .keepAll) }

    /// All are lost.
    public static var dropAll: Self { Self(kind: .dropAll) }

    /// Each is lost, kept or torn at sectors of 512 bytes, independently of all others, so that
    /// a later one may survive an earlier one.
    ///
    /// - Parameter seed: The same seed gives the same disk.
    public static func random(seed: UInt64) -> Self { Self(kind: .random(seed)) }
}

/// The unit that a disk writes whole or not at all.
private let sectorByteCount = 512

extension SimulatedDiskState {
    /// What is found after the power was cut.
    func crashed(_ crash: SimulatedCrash) -> SimulatedDiskState {
        var fate = SimulatedFate(crash)
        var result = SimulatedDiskState(capacity: capacity)
        var names = durableNames
        for change in nameChanges where fate.isKept() { change.change.apply(to: &names) }
        result.setNames(names.filter { Self.isReachable($0.key, in: names) })
        // In a fixed order: the fates must not depend on the order of a dictionary.
        for (inode, file) in files.sorted(by: { $0.key < $1.key }) {
            let bytes = file.crashed(&fate)
            result.setFile(inode, SimulatedFileState(durable: bytes))
        }
        result.collect()
        return result
    }

    /// Whether all directories on the way to a path are there.
    private static func isReachable(_ path: String, in names: [String: SimulatedNode]) -> Bool {
        var rest = path[...]
        while let slash = rest.lastIndex(of: "/") {
            rest = rest[..<slash]
            guard names[String(rest)] == .directory else { return false }
        }
        return true
    }
}

extension SimulatedFileState {
    fileprivate func crashed(_ fate: inout SimulatedFate) -> SparseBytes {
        var bytes = durable
        for change in changes {
            switch change.kind {
            case .resize(let byteCount):
                if fate.isKept() { bytes.resize(to: byteCount) }
            case .write(let offset, let content):
                for range in fate.keptRanges(offset, content.count) {
                    bytes.write(content[range], at: offset + UInt64(range.lowerBound))
                }
            }
        }
        return bytes
    }
}

/// Decides what becomes of each change.
private struct SimulatedFate {
    private let kind: SimulatedCrash.Kind
    private var random: SplitMix64
    /// How likely a change is kept, out of 256.
    ///
    /// Differs between seeds, so that among many seeds there are disks that lost nearly nothing
    /// and disks that lost nearly all.
    private var keepChance: UInt64 = 0
    private var tearChance: UInt64 = 0

    init(_ crash: SimulatedCrash) {
        kind = crash.kind
        guard case .random(let seed) = kind else {
            random = SplitMix64(0)
            return
        }
        random = SplitMix64(seed)
        keepChance = random.next() % 257
        tearChance = random.next() % 257
    }

    mutating func isKept() -> Bool {
        switch kind {
        case .keepAll: true
        case .dropAll: false
        case .random: random.next() % 256 < keepChance
        }
    }

    /// Which bytes of a write are kept.
    mutating func keptRanges(_ offset: UInt64, _ count: Int) -> [Range<Int>] {
        guard case .random = kind, random.next() % 256 < tearChance else {
            return isKept() ? [0..<count] : []
        }
        var ranges: [Range<Int>] = []
        var start = 0
        while start < count {
            let sector = UInt64(sectorByteCount)
            let rest = Int(sector - (offset + UInt64(start)) % sector)
            let end = min(count, start + rest)
            if isKept() { ranges.append(start..<end) }
            start = end
        }
        return ranges
    }
}

/// A small generator whose numbers are the same everywhere: SplitMix64 of Steele, Lea and Flood,
/// "Fast splittable pseudorandom number generators" (OOPSLA 2014).
private struct SplitMix64 {
    private var state: UInt64

    init(_ seed: UInt64) { state = seed }

    mutating func next() -> UInt64 {
        state &+= 0x9E37_79B9_7F4A_7C15
        var mixed = state
        mixed = (mixed ^ (mixed >> 30)) &* 0xBF58_476D_1CE4_E5B9
        mixed = (mixed ^ (mixed >> 27)) &* 0x94D0_49BB_1331_11EB
        return mixed ^ (mixed >> 31)
    }
}
