// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnSegments

/// One backup under way.
///
/// The index first: what its rows name is in segments already then, and no segment is removed
/// while the backup holds its pin. The marker last: what has none is no store.
struct Backup: Sendable {
    private static let copiedByteCount = 4 << 20

    let engine: Engine
    let target: any Disk
    /// Where the copy of the index goes, which RocksDB writes by itself.
    let index: String

    func run(includesKeyFile: Bool) async throws(StoreError) -> BackupReport {
        try engine.checkOpen()
        let pin = engine.segmentPins.pin()
        defer { withExtendedLifetime(pin) {} }
        var (report, summaries) = try await engine.pool.run { (_) throws(StoreError) in
            try prepare()
            let report = try copyIndexAndCatalogue()
            return (report, try segments())
        }
        for summary in summaries {
            try engine.checkCancellation("the backup")
            report = try await engine.pool.run { [report] (_) throws(StoreError) in
                try copy(summary, after: report)
            }
        }
        return try await engine.pool.run { [report] (_) throws(StoreError) in
            try finish(after: report, includesKeyFile: includesKeyFile)
        }
    }

    // MARK: - Steps

    private func prepare() throws(StoreError) {
        let isEmpty = try lower(
            "looking into the directory of the backup",
            disk: { () throws(DiskError) in
                try target.list("").isEmpty
            })
        guard isEmpty else {
            throw StoreError(.invalidArgument, "the directory of the backup is not empty")
        }
        try lower(
            "preparing the directory of the backup",
            disk: { () throws(DiskError) in
                try target.createDirectory(StoreFormat.segments)
                try target.createDirectory(StoreFormat.catalogue)
            })
    }

    // As of the same moment: each tells what the other must have.
    private func copyIndexAndCatalogue() throws(StoreError) -> BackupReport {
        try engine.catalogue.withFiles(
            freezing: { () throws(StoreError) in
                try lower(
                    "copying the index",
                    index: { () throws(IndexError) in
                        try engine.index.checkpoint(to: index)
                    })
            },
            { (names, endOfLast) throws(StoreError) in
                var report = BackupReport()
                for (offset, name) in names.enumerated() {
                    let isLast = offset == names.count - 1
                    try take(
                        "\(StoreFormat.catalogue)/\(name)", upTo: isLast ? endOfLast : nil, &report)
                }
                return report
            })
    }

    private func segments() throws(StoreError) -> [SegmentSummary] {
        try lower(
            "listing segments",
            segments: { () throws(SegmentError) in
                // What the copied rows name is in the files then.
                try engine.segments.sync()
                return try engine.segments.segments()
            })
    }

    private func copy(
        _ summary: SegmentSummary, after report: BackupReport
    ) throws(StoreError) -> BackupReport {
        var report = report
        report.segmentCount += 1
        // One that is being written ends, in the copy, where it ends now.
        try take(
            "\(StoreFormat.segments)/\(summary.number).segment",
            upTo: summary.isSealed ? nil : summary.byteCount, &report)
        return report
    }

    private func finish(
        after report: BackupReport, includesKeyFile: Bool
    ) throws(StoreError) -> BackupReport {
        var report = report
        // A keyring is replaced, never changed. With an external provider there is none.
        if engine.keyring != nil { try take(StoreFormat.keyring, upTo: nil, &report) }
        try takeAuditLog(&report)
        if includesKeyFile { try takeKeyFile(&report) }
        try lower(
            "finishing the backup",
            disk: { () throws(DiskError) in
                for directory in [StoreFormat.segments, StoreFormat.catalogue, ""] {
                    try target.syncDirectory(directory)
                }
                let marker = try engine.disk.readAll(
                    StoreFormat.marker, upTo: StoreFormat.markerByteCountMax)
                try target.replace(StoreFormat.marker, with: marker.span)
            })
        return report
    }

    // Behind the index, which notes an entry that must be there.
    private func takeAuditLog(_ report: inout BackupReport) throws(StoreError) {
        guard let log = engine.audit.log else { return }
        let numbers = try log.numbers()
        guard !numbers.isEmpty else { return }
        try lower(
            "preparing the directory of the backup",
            disk: { () throws(DiskError) in
                try target.createDirectory(StoreFormat.audit)
            })
        for number in numbers {
            report.copiedByteCount += try copyBytes(of: AuditFormat.path(number), upTo: .max)
        }
        try lower(
            "finishing the backup",
            disk: { () throws(DiskError) in
                try target.syncDirectory(StoreFormat.audit)
            })
    }

    private func takeKeyFile(_ report: inout BackupReport) throws(StoreError) {
        let exists = try lower(
            "looking for the key file",
            disk: { () throws(DiskError) in
                try engine.disk.exists(StoreFormat.keyFile)
            })
        guard exists else { return }
        report.copiedByteCount += try copyBytes(of: StoreFormat.keyFile, upTo: .max)
        report.includesKeyFile = true
    }

    // MARK: - Files

    /// Links a file that never changes, or copies it.
    ///
    /// - Parameter end: where to end a file that may still grow; nil for one that never changes.
    private func take(
        _ path: String, upTo end: UInt64?, _ report: inout BackupReport
    ) throws(StoreError) {
        let isLinked = try lower(
            "linking \(path)",
            disk: { () throws(DiskError) in
                guard end == nil else { return false }
                return try engine.disk.link(path, into: target)
            })
        guard isLinked else {
            report.copiedByteCount += try copyBytes(of: path, upTo: end ?? .max)
            return
        }
        report.linkedByteCount += try lower(
            "linking \(path)",
            disk: { () throws(DiskError) in
                let file = try target.open(path, .read)
                defer { file.close() }
                return try file.byteCount()
            })
    }

    private func copyBytes(of path: String, upTo end: UInt64) throws(StoreError) -> UInt64 {
        try lower(
            "copying \(path)",
            disk: { () throws(DiskError) in
                let source = try engine.disk.open(path, .read)
                defer { source.close() }
                let copy = try target.open(path, .create)
                defer { copy.close() }
                let end = min(end, try source.byteCount())
                var offset: UInt64 = 0
                var buffer = [UInt8](repeating: 0, count: Self.copiedByteCount)
                while offset < end {
                    let wanted = Int(min(UInt64(buffer.count), end - offset))
                    var span = buffer.mutableSpan
                    var part = span.part(0..<wanted)
                    let count = try source.read(into: &part, at: offset)
                    guard count > 0 else { break }
                    try copy.write(buffer.span.extracting(..<count), at: offset)
                    offset += UInt64(count)
                }
                try copy.sync()
                return offset
            })
    }
}
