// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

// The audit log.
extension Store {
    /// Lists entries of the audit log, the oldest first.
    ///
    /// - Parameters:
    ///   - after: the number of the last entry already seen; 0 starts at the beginning.
    ///   - limit: 1 to 1000 entries. Fewer answers mean the end.
    /// - Throws: ``StoreError`` with code `invalidArgument` (the limit), `io`, `closed`.
    public func auditEntries(
        after: UInt64 = 0, limit: Int = 1000
    ) async throws(StoreError) -> [AuditEntry] {
        try Bucket.checkPage(limit)
        guard after < .max else { return [] }
        return try await engine.withAuditLog { (log) throws(StoreError) in
            var entries: [AuditEntry] = []
            for number in try log.files(holdingEntriesAfter: after) {
                _ = try log.file(number) { (entry, _) throws(StoreError) in
                    guard entry.sequence > after, entries.count < limit else { return }
                    entries.append(entry)
                }
                guard entries.count < limit else { break }
            }
            return entries
        }
    }

    /// Checks the audit log: that each entry is genuine and none is missing.
    ///
    /// The log tells by itself when an entry was changed, removed or put in. That its end was cut
    /// off shows against the end that the store notes with each administrative act and when it
    /// closes, and against one that was noted elsewhere.
    ///
    /// - Parameter head: an end of the log that was noted before, which must be in it still.
    /// - Throws: ``StoreError`` with code `io`, `closed`.
    public func verifyAudit(
        containing head: AuditHead? = nil
    ) async throws(StoreError) -> AuditReport {
        let known = try await engine.read("reading the end of the audit log") {
            (index) throws(IndexError) in
            try index.get(Tables.meta, MetaKey.auditHead)
        }
        let noted = [try engine.notes.head(known), head].compactMap { $0 }
        return try await engine.withAuditLog { (log) throws(StoreError) in
            try log.check(containing: noted.filter { $0.sequence > 0 })
        }
    }
}

extension Engine {
    /// How notes about the log and the keyring are authenticated.
    var notes: StoreNotes {
        get throws(StoreError) { StoreNotes(format: try auditLog.format) }
    }

    private var auditLog: AuditLog {
        get throws(StoreError) {
            guard let log = audit.log else {
                throw StoreError(.closed, "the audit log is not open")
            }
            return log
        }
    }

    func withAuditLog<R: Sendable>(
        _ body: @escaping @Sendable (AuditLog) throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        try checkOpen()
        let log = try auditLog
        return try await pool.run { (_) throws(StoreError) in try body(log) }
    }

    /// Does what an administrator asks for. It is recorded, durably, before it is done; once more
    /// when it fails.
    func act<R>(
        _ event: AuditEvent, _ body: () async throws(StoreError) -> R
    ) async throws(StoreError) -> R {
        try await withAuditLog { (log) throws(StoreError) in
            _ = try log.append(event, durably: true)
        }
        do throws(StoreError) { return try await body() } catch {
            let failure = event.failed(error)
            try await withAuditLog { (log) throws(StoreError) in
                // What made it fail is of more interest.
                _ = try? log.append(failure, durably: true)
            }
            throw error
        }
    }

    /// Notes where the log ends, so that it shows when that is cut off. Durable on return.
    ///
    /// - Parameter body: what else to note in the same transaction.
    /// - Returns: what was noted.
    @discardableResult
    func noteAuditHead(
        with body: @escaping @Sendable (Transaction) throws(StoreError) -> Void = {
            (_) throws(StoreError) in
        }
    ) async throws(StoreError) -> AuditHead {
        let head = try await withAuditLog { (log) throws(StoreError) in try log.sync() }
        let note = try notes.encode(head)
        let uses = audit.uses.takeUnnoted()
        do throws(StoreError) {
            try await transact { (transaction) throws(StoreError) in
                try transaction.put(Tables.meta, MetaKey.auditHead, note)
                for use in uses { try transaction.put(Tables.meta, use.key, use.value) }
                try body(transaction)
            }
        } catch {
            audit.uses.putBack(uses)
            throw error
        }
        return head
    }
}

extension AuditLog {
    fileprivate func files(
        holdingEntriesAfter sequence: UInt64
    ) throws(StoreError) -> ArraySlice<UInt32> {
        let numbers = try numbers()
        // Whole files before the wanted entry need not be read.
        var first = numbers.count - 1
        while first > 0, try headerSequence(numbers[first]) > sequence &+ 1 { first -= 1 }
        return numbers[max(first, 0)...]
    }

    private func headerSequence(_ number: UInt32) throws(StoreError) -> UInt64 {
        try lower(
            "reading the audit log",
            disk: { () throws(DiskError) in
                try header(number)?.firstSequence ?? UInt64.max
            })
    }

    func check(containing noted: [AuditHead]) throws(StoreError) -> AuditReport {
        var report = AuditReport()
        var missing = noted
        // The first entry that may be there, by what the log says of removed files.
        var start: UInt64 = 1
        var previous: AuditFile?
        for number in try numbers() {
            let file = try file(number) { (entry, code) throws(StoreError) in
                if entry.action == AuditEvent.filesRemoved, let first = UInt64(entry.detail) {
                    start = max(start, first)
                }
                if entry.action == AuditEvent.notesLost {
                    report.add(
                        "the store had lost what it noted of the log or the keyring: "
                            + entry.time.description)
                }
                missing.removeAll { $0.sequence == entry.sequence && $0.code == code }
            }
            guard let file else {
                report.add("the header of \(AuditFormat.path(number)) is not genuine")
                continue
            }
            if let previous {
                if previous.head.sequence != file.header.firstSequence - 1
                    || previous.head.code != file.header.previousCode
                {
                    report.add(
                        "entries \(previous.head.sequence + 1) to "
                            + "\(file.header.firstSequence - 1) are missing or changed")
                }
            } else {
                report.firstSequence = file.header.firstSequence
            }
            report.entryCount += file.entryCount
            report.head = file.head
            previous = file
        }
        if report.firstSequence > start {
            report.add("entries \(start) to \(report.firstSequence - 1) are missing")
        }
        for head in missing where head.sequence >= start {
            report.add("entry \(head.sequence), noted before, is missing or changed")
        }
        return report
    }
}
