// Part of Cairn, a content-addressed blob store.

public import CairnSegments

/// A kind of call on a ``SimulatedDisk`` or on one of its files.
public enum SimulatedOperation: String, Hashable, Sendable, CaseIterable {
    /// Opening a file that exists.
    case open
    /// Creating a file.
    case create
    /// Reading from a file.
    case read
    /// Writing to a file.
    case write
    /// Syncing a file.
    case sync
    /// Reserving room for a file.
    case allocate
    /// Changing the length of a file.
    case truncate
    /// Asking for the length of a file.
    case byteCount
    /// Renaming a file.
    case rename
    /// Removing a file.
    case remove
    /// Listing a directory.
    case list
    /// Creating a directory.
    case createDirectory
    /// Syncing a directory.
    case syncDirectory
    /// Asking whether a name is taken.
    case exists
    /// Taking a lock.
    case lock
    /// Asking for free room.
    case freeByteCount

    /// Whether such a call changes what is on the disk or what of it is durable.
    public var isChange: Bool {
        switch self {
        case .create, .write, .sync, .allocate, .truncate, .rename, .remove, .createDirectory,
            .syncDirectory:
            true
        case .open, .read, .byteCount, .list, .exists, .lock, .freeByteCount: false
        }
    }
}

/// What a call that was told to fail does.
public enum SimulatedFault: Hashable, Sendable {
    /// Nothing but throwing an error of this code.
    ///
    /// A failed sync makes all that it should have saved undurable for ever.
    case error(DiskError.Code)
    /// A write stores only so many bytes before it throws an error of this code.
    case shortWrite(byteCount: Int, DiskError.Code)
}

/// Counts calls and knows which of them fail.
struct SimulatedFaults {
    private struct Plan {
        let operation: SimulatedOperation
        let numbers: PartialRangeFrom<Int>
        let count: Int?
        let effect: SimulatedFault

        func covers(_ operation: SimulatedOperation, _ number: Int) -> Bool {
            guard operation == self.operation, numbers.contains(number) else { return false }
            guard let count else { return true }
            return number - numbers.lowerBound < count
        }
    }

    private(set) var counts: [SimulatedOperation: Int] = [:]
    private(set) var changeCount = 0
    var changeCountMax: Int?
    private var plans: [Plan] = []

    mutating func add(
        _ operation: SimulatedOperation, at number: Int, count: Int?, _ effect: SimulatedFault
    ) {
        plans.append(
            Plan(operation: operation, numbers: number..., count: count, effect: effect))
    }

    mutating func heal() {
        plans = []
        changeCountMax = nil
    }

    /// Counts a call and returns how it is to fail.
    mutating func next(_ operation: SimulatedOperation) throws(DiskError) -> SimulatedFault? {
        if let changeCountMax, changeCount >= changeCountMax {
            throw DiskError(.io, "the power is off")
        }
        if operation.isChange { changeCount += 1 }
        let number = (counts[operation] ?? 0) + 1
        counts[operation] = number
        return plans.first { $0.covers(operation, number) }?.effect
    }
}
