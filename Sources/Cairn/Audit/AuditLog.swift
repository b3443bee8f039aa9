// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys
internal import CairnSegments
internal import Synchronization

/// What is to be recorded; the log adds number and time.
struct AuditEvent: Sendable {
    var action: String
    var key = ""
    var context = EncryptionContext()
    var principal = ""
    var detail = ""
    var outcome = AuditEvent.success

    static let success = "ok"

    func failed(_ error: StoreError) -> AuditEvent {
        var event = self
        event.outcome = error.code.description
        return event
    }

    /// Older files were removed to save room; the detail is the first entry that is kept.
    static let filesRemoved = "AuditFilesRemoved"
    /// There was a log, and no genuine note of where it ends or of how new the keyring is.
    static let notesLost = "NotesLost"
}

/// An append-only log whose entries are chained by authentication codes.
///
/// Entries go to files of 8 MiB; of these the newest are kept. What is behind the last genuine
/// entry of a file is never touched again, be it torn by a crash or changed by somebody: the log
/// goes on in a new file. Blocking: for worker threads. Thread-safe.
final class AuditLog: Sendable {
    static let fileByteCount: UInt64 = 8 << 20

    private struct State {
        /// Nil before the first entry of this opening, and after a failure.
        var file: (any DiskFile)?
        var number: UInt32
        var end: UInt64 = 0
        var head: AuditHead
        /// What the next entry is authenticated with.
        var chain = Octets32()
        /// Entries that could not be written since the last one that was.
        var lostCount: UInt64 = 0
        /// Up to where it is durable.
        var syncedHead: AuditHead
    }

    let format: AuditFormat
    private let disk: any Disk
    private let storeID: Octets16
    private let clock: any StoreClock
    private let byteCountMax: UInt64
    private let state: Mutex<State>

    /// Goes on with the log of a store, or begins one.
    ///
    /// - Parameters:
    ///   - known: the last end of the log that the store has noted.
    ///   - byteCountMax: older files are removed above that many bytes.
    ///   - onFound: gets the entries of the newest file that are behind the noted end.
    init(
        _ disk: any Disk, format: AuditFormat, storeID: Octets16, clock: any StoreClock,
        known: AuditHead, byteCountMax: UInt64, onFound: (AuditEntry) -> Void = { _ in }
    ) throws(StoreError) {
        self.disk = disk
        self.format = format
        self.storeID = storeID
        self.clock = clock
        self.byteCountMax = byteCountMax
        let numbers = try Self.numbers(disk)
        var state = State(number: numbers.last ?? 0, head: known, syncedHead: known)
        if let last = numbers.last {
            // One that cannot be read is a matter for a check: blobs stay readable.
            let file = try? AuditFile(disk, last, storeID, format) {
                (entry, _) throws(StoreError) in
                if entry.sequence > known.sequence { onFound(entry) }
            }
            // An older end than the one noted: what is missing will be found by a check.
            if let file, file.head.sequence >= known.sequence { state.head = file.head }
            if let file, file.isWhole, file.head == state.head {
                (state.end, state.chain) = (file.byteCount, file.chain)
                state.file = try? disk.open(AuditFormat.path(last), .readWrite)
            }
        }
        self.state = Mutex(state)
    }

    /// Adds an entry; durable on return if asked.
    @discardableResult
    func append(_ event: AuditEvent, durably: Bool) throws(StoreError) -> AuditEntry {
        try state.withLock { (state) throws(StoreError) in
            do throws(DiskError) {
                if state.lostCount > 0 {
                    let lost = AuditEvent(
                        action: "AuditEntriesLost", detail: String(state.lostCount))
                    _ = try write(lost, &state)
                    state.lostCount = 0
                }
                let entry = try write(event, &state)
                if durably { try sync(&state) }
                return entry
            } catch {
                state.lostCount += 1
                // What a failed write left is behind the last genuine entry.
                state.file = nil
                throw StoreError(error, while: "writing the audit log")
            }
        }
    }

    /// Makes all entries durable.
    ///
    /// - Returns: up to where the log is durable.
    @discardableResult
    func sync() throws(StoreError) -> AuditHead {
        try state.withLock { (state) throws(StoreError) in
            do throws(DiskError) { try sync(&state) } catch {
                state.file = nil
                throw StoreError(error, while: "writing the audit log")
            }
            return state.syncedHead
        }
    }

    // MARK: - Reading

    static func numbers(_ disk: any Disk) throws(StoreError) -> [UInt32] {
        try lower(
            "listing the audit log",
            disk: { () throws(DiskError) -> [UInt32] in
                guard try disk.exists(StoreFormat.audit) else { return [] }
                return try list(disk)
            })
    }

    private static func list(_ disk: any Disk) throws(DiskError) -> [UInt32] {
        try disk.list(StoreFormat.audit).compactMap(AuditFormat.number).sorted()
    }

    /// The numbers of the files, in ascending order.
    func numbers() throws(StoreError) -> [UInt32] { try Self.numbers(disk) }

    /// Reads a file; nil when its header is not genuine.
    func file(
        _ number: UInt32, _ body: (AuditEntry, Octets32) throws(StoreError) -> Void
    ) throws(StoreError) -> AuditFile? {
        try AuditFile(disk, number, storeID, format, body)
    }

    /// The header of a file; nil when it is not genuine.
    func header(_ number: UInt32) throws(DiskError) -> AuditFormat.Header? {
        let file = try disk.open(AuditFormat.path(number), .read)
        defer { file.close() }
        var bytes = [UInt8](repeating: 0, count: AuditFormat.headerByteCount)
        var span = bytes.mutableSpan
        _ = try file.read(into: &span, at: 0)
        return try? format.decodeHeader(bytes.span, number, storeID).header
    }

    // MARK: -

    private func write(
        _ event: AuditEvent, _ state: inout State
    ) throws(DiskError) -> AuditEntry {
        if state.file == nil || state.end >= Self.fileByteCount { try begin(&state) }
        let entry = AuditEntry(
            action: event.action, key: Self.clip(event.key), context: event.context,
            principal: Self.clip(event.principal), detail: Self.clip(event.detail),
            outcome: event.outcome,
            sequence: state.head.sequence + 1, time: clock.now())
        let (bytes, code) = format.encode(entry, after: state.chain)
        try state.file?.write(bytes.span, at: state.end)
        state.end += UInt64(bytes.count)
        (state.head, state.chain) = (AuditHead(sequence: entry.sequence, code: code), code)
        return entry
    }

    // A caller's text, of whatever length; an entry must be one that can be read again.
    private static func clip(_ text: String) -> String {
        guard text.utf8.count > textByteCountMax else { return text }
        return String(decoding: text.utf8.prefix(textByteCountMax), as: UTF8.self) + "..."
    }

    private static let textByteCountMax = 2048

    private func sync(_ state: inout State) throws(DiskError) {
        guard let file = state.file, state.syncedHead != state.head else { return }
        try file.sync()
        state.syncedHead = state.head
    }

    private func begin(_ state: inout State) throws(DiskError) {
        if state.file != nil { try sync(&state) }
        if try !disk.exists(StoreFormat.audit) {
            try disk.createDirectory(StoreFormat.audit)
            try disk.syncDirectory("")
        }
        state.number += 1
        let (bytes, code) = format.encode(
            AuditFormat.Header(
                number: state.number, storeID: storeID, firstSequence: state.head.sequence + 1,
                createdAt: clock.now(), previousCode: state.head.code))
        // Made elsewhere and renamed: a file that has the name has a whole header.
        try disk.replace(AuditFormat.path(state.number), with: bytes.span)
        state.file = try disk.open(AuditFormat.path(state.number), .readWrite)
        (state.end, state.chain) = (UInt64(bytes.count), code)
        try removeOldFiles(&state)
    }

    // Announced in the log before it is done: a file that is missing without that was taken away.
    private func removeOldFiles(_ state: inout State) throws(DiskError) {
        let numbers = try Self.list(disk)
        let removed = try numbers.prefix(numbers.count - keptCount(of: numbers))
        // Without a genuine header nobody can say what is kept: better nothing is removed.
        guard let last = removed.last, let first = numbers.first(where: { $0 > last }),
            let sequence = try header(first)?.firstSequence
        else { return }
        _ = try write(
            AuditEvent(action: AuditEvent.filesRemoved, detail: String(sequence)), &state)
        try sync(&state)
        for number in removed { try disk.remove(AuditFormat.path(number)) }
    }

    // The newest files that together have no more bytes than are to be kept; two at least.
    private func keptCount(of numbers: [UInt32]) throws(DiskError) -> Int {
        var byteCount: UInt64 = 0
        var count = 0
        for number in numbers.reversed() {
            let file = try disk.open(AuditFormat.path(number), .read)
            defer { file.close() }
            byteCount += try file.byteCount()
            // The current one is going to be full.
            guard count < 2 || byteCount + Self.fileByteCount <= byteCountMax else { break }
            count += 1
        }
        return count
    }
}

/// One file of an audit log, as far as it is genuine.
struct AuditFile {
    let header: AuditFormat.Header
    /// Where the genuine entries end.
    private(set) var head: AuditHead
    private(set) var chain: Octets32
    private(set) var entryCount: UInt64 = 0
    /// The bytes up to there.
    private(set) var byteCount = UInt64(AuditFormat.headerByteCount)
    /// Whether nothing follows.
    let isWhole: Bool

    /// Reads a file of at most 8 MiB and one entry; nil when its header is not genuine.
    init?(
        _ disk: any Disk, _ number: UInt32, _ storeID: Octets16, _ format: AuditFormat,
        _ body: (AuditEntry, Octets32) throws(StoreError) -> Void = { (_, _) throws(StoreError) in }
    ) throws(StoreError) {
        let limit = Int(AuditLog.fileByteCount) + AuditFormat.bodyByteCountMax + 1024
        let bytes = try lower(
            "reading the audit log",
            disk: { () throws(DiskError) in
                try disk.readAll(AuditFormat.path(number), upTo: limit)
            })
        guard bytes.count >= AuditFormat.headerByteCount,
            let (header, code) = try? format.decodeHeader(
                bytes.span.extracting(first: AuditFormat.headerByteCount), number, storeID)
        else { return nil }
        self.header = header
        head = AuditHead(
            sequence: header.firstSequence &- 1, code: header.previousCode)
        chain = code
        var offset = AuditFormat.headerByteCount
        while let next = format.decodeEntry(
            bytes.span.extracting(offset...), head.sequence &+ 1, after: chain)
        {
            try body(next.entry, next.code)
            head = AuditHead(sequence: next.entry.sequence, code: next.code)
            (chain, offset, entryCount) = (next.code, offset + next.byteCount, entryCount + 1)
        }
        byteCount = UInt64(offset)
        isWhole = offset == bytes.count
    }
}
