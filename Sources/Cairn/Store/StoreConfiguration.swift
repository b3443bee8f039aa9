// Part of Cairn, a content-addressed blob store.

/// How a store runs. None of it is persisted; change it from one opening to the next.
public struct StoreConfiguration: Hashable, Sendable {
    /// Whether to make a store where there is none.
    public var createIfMissing = true
    /// Threads for hashing, sealing and I/O: 1 to 256. By default the processors plus two, so
    /// that a thread that waits for the disk does not leave a processor idle.
    public var workerCount: Int
    /// Memory for blocks of the index, in bytes.
    public var indexCacheByteCount = 64 << 20
    /// Size of a segment file in bytes: 8 MiB to 1 GiB, a multiple of 4096.
    public var segmentByteCount: UInt64 = 256 << 20
    /// Bytes of the disk that uploads leave free: when it is full for them, deletions and
    /// recovery still have room, and service resumes as soon as there is more.
    public var reservedByteCount: UInt64 = 64 << 20
    /// Bytes of an upload between two automatic checkpoints: what a crash can cost at most.
    public var checkpointByteCount: UInt64 = 64 << 20
    /// How long a data key stays open in memory: the time within which the disabling of a customer
    /// key in an external provider takes effect, and how often one is asked. Positive, at most a
    /// day. With the store's own keyring it takes effect at once.
    public var keyCacheLifetime = Duration.seconds(60)
    /// Bytes of the audit log that are kept, at least 16 MiB; older files are removed whole.
    public var auditByteCount: UInt64 = 256 << 20
    /// How long an unused upload session lives.
    public var uploadLifetime = Duration.seconds(24 * 3600)
    /// Bytes of events that are kept for each bucket; 0 keeps none. One of an object takes 87 bytes
    /// and the key.
    public var eventByteCount: UInt64 = 4 << 20
    /// How long events are kept; older ones go when new ones come.
    public var eventLifetime = Duration.seconds(7 * 24 * 3600)
    /// How long a multipart upload lives that gets no parts.
    public var multipartLifetime = Duration.seconds(7 * 24 * 3600)

    /// For how many days back bills can be made: 62 to 4000. Each bucket keeps about a hundred
    /// bytes for each day on which it changed.
    public var meteredDayCount = 400

    /// The defaults, right for a registry server on a machine of its own.
    public init() {
        workerCount = Processors.count + 2
    }

    var eventRetention: EventRetention {
        EventRetention(byteCountMax: eventByteCount, lifetime: eventLifetime)
    }

    func check() throws(StoreError) {
        guard (1...256).contains(workerCount) else {
            throw StoreError(.invalidArgument, "workerCount is 1 to 256, not \(workerCount)")
        }
        guard indexCacheByteCount >= 0 else {
            throw StoreError(.invalidArgument, "indexCacheByteCount is not negative")
        }
        guard ((8 << 20)...(1 << 30)).contains(segmentByteCount),
            segmentByteCount.isMultiple(of: 4096)
        else {
            throw StoreError(
                .invalidArgument, "segmentByteCount is 8 MiB to 1 GiB and a multiple of 4096")
        }
        guard auditByteCount >= 2 * AuditLog.fileByteCount else {
            throw StoreError(.invalidArgument, "auditByteCount is at least 16 MiB")
        }
        guard keyCacheLifetime > .zero, keyCacheLifetime <= .seconds(86_400) else {
            throw StoreError(
                .invalidArgument, "keyCacheLifetime is positive and at most a day")
        }
        guard (62...4000).contains(meteredDayCount) else {
            throw StoreError(.invalidArgument, "meteredDayCount is 62 to 4000")
        }
        guard checkpointByteCount >= 1 << 20, uploadLifetime > .zero, multipartLifetime > .zero,
            eventLifetime > .zero
        else {
            throw StoreError(
                .invalidArgument,
                "checkpointByteCount is at least 1 MiB; lifetimes are positive"
            )
        }
    }
}

/// What opens the keyring of a store.
public enum KeyringUnlock: Sendable {
    /// A file of 32 bytes; nil is `keyring.key` in the store's directory, made with mode 0600
    /// when the store is created. A file that others can read is refused.
    case keyFile(path: String?)
    /// A passphrase of 1 to 1024 bytes; opening then takes about a third of a second.
    case passphrase(String)
}
