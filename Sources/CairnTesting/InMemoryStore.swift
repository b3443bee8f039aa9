// Part of Cairn, a content-addressed blob store.

public import Cairn
public import CairnCore
internal import CairnIndex
internal import CairnSegments
internal import Synchronization

/// A whole store without a disk: everything that a store does, on a simulated disk and an index in
/// memory.
///
/// ```swift
/// let memory = InMemoryStore()
/// let store = try await memory.open()
/// let bucket = try await store.defaultAccount.createBucket("library/alpine")
/// ```
///
/// What was stored stays as long as the value does: close the store and open it again. All opening
/// and closing is up to the caller; the parts are thread-safe.
public struct InMemoryStore: Sendable {
    /// Where segments and the keyring are: cut its power, fill it, or damage its files.
    public let disk = SimulatedDisk()
    private let slot = IndexSlot()
    private let clock: any StoreClock
    private let random: any RandomSource

    /// A store that is made when it is opened first.
    ///
    /// - Parameters:
    ///   - clock: tells the time; by default that of the system.
    ///   - random: gives keys and names; by default the system's.
    public init(
        clock: any StoreClock = SystemClock(), random: any RandomSource = SystemRandom()
    ) {
        self.clock = clock
        self.random = random
    }

    /// Opens the store. Its segments have 16 MiB, whatever the configuration says.
    ///
    /// - Throws: ``StoreError`` as ``Store/open(at:unlock:configuration:)``.
    public func open(
        configuration: StoreConfiguration = StoreConfiguration()
    ) async throws(StoreError) -> Store {
        let slot = slot
        var segments = SegmentConfiguration()
        segments.segmentByteCount = 16 << 20
        return try await Store.open(
            StoreSeams(
                disk: disk,
                openIndex: { (tables, _) throws(IndexError) in try slot.open(tables) },
                openNewIndex: { (tables) throws(IndexError) in InMemoryIndex(tables: tables) },
                installNewIndex: {}, discardNewIndex: {}, clock: clock, random: random,
                segments: segments),
            unlock: .keyFile(path: nil), configuration: configuration)
    }
}

/// The index that the store has now.
private final class IndexSlot: Sendable {
    private let index = Mutex(InMemoryIndex(tables: []))

    func open(_ tables: [IndexTable]) throws(IndexError) -> any Index {
        try index.withLock { (index) throws(IndexError) in
            index = try index.reopened(tables: tables)
            return index
        }
    }
}
