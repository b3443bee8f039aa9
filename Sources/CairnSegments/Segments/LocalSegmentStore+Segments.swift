// Part of Cairn, a content-addressed blob store.

internal import CairnCore

extension LocalSegmentStore {
    package func segments() throws(SegmentError) -> [SegmentSummary] {
        let numbers = try monitor.withLock { (state) throws(SegmentError) in
            try state.requireOpen()
            return state.segments.keys.sorted()
        }
        var summaries: [SegmentSummary] = []
        for number in numbers {
            // Deleted by another thread since.
            guard let summary = try summary(of: number) else { continue }
            summaries.append(summary)
        }
        return summaries
    }

    package func seal() throws(SegmentError) {
        try preparing { () throws(SegmentError) in try retireActive() }
    }

    package func delete(_ segment: SegmentNumber) throws(SegmentError) {
        try preparing { () throws(SegmentError) in
            try ensureSuccessor(of: segment)
            let known = try monitor.withLock { (state) throws(SegmentError) in
                try state.takeSealed(segment)
            }
            readFiles.forget(segment)
            do throws(SegmentError) {
                try onDisk("removing the segment \(segment)") { () throws(DiskError) in
                    try directory.disk.remove(directory.path(of: segment))
                }
            } catch {
                monitor.withLock { $0.segments[segment] = known }
                throw error
            }
            try latching { () throws(SegmentError) in try directory.sync() }
        }
    }

    package func close() throws(SegmentError) {
        let isClosed = monitor.withLock { $0.isClosed }
        guard !isClosed else { return }
        defer {
            monitor.update { $0.closeForEver() }
            readFiles.forgetAll()
        }
        try seal()
    }

    // MARK: -

    private func summary(of number: SegmentNumber) throws(SegmentError) -> SegmentSummary? {
        do {
            try loadIfUnknown(number)
        } catch let error where error.code == .segmentUnknown {
            return nil
        }
        return monitor.withLock { state in
            guard let known = state.segments[number], let end = state.endOffset(of: number)
            else { return nil }
            switch known {
            case .sealed(let sealed):
                return SegmentSummary(
                    number: number, isSealed: true, byteCount: sealed?.byteCount ?? end,
                    recordCount: sealed?.recordCount)
            case .unsealed:
                return SegmentSummary(
                    number: number, isSealed: false, byteCount: end,
                    recordCount: state.recordCount(ofUnsealed: number))
            }
        }
    }
}
