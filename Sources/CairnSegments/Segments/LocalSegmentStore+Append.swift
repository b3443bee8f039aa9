// Part of Cairn, a content-addressed blob store.

internal import CairnCore

extension LocalSegmentStore {
    enum SyncStep {
        case done
        case lead(WriteState.SyncGoal, WriteTask?)
    }

    enum SyncedFile {
        case sealed
        case active(WritableSegment)
    }

    /// Lets the caller's closure fill its bytes; leaves a void where that fails.
    static func fill(
        _ reservation: Reservation, _ fill: (inout MutableSpan<UInt8>) throws(CoreError) -> Void
    ) -> Result<UInt64, SegmentError> {
        reservation.memory.withMutableSpan(reservation.range) { bytes in
            do {
                try fill(&bytes)
            } catch {
                SegmentFormat.fillVoid(&bytes)
                return .failure(SegmentError(.fillFailed, "filling an append failed", cause: error))
            }
            // What is not framed now could not be found by a scan later, nor anything behind it.
            guard let count = countRecords(in: bytes.span) else {
                SegmentFormat.fillVoid(&bytes)
                return .failure(
                    SegmentError(.invalidArgument, "an append was not filled with whole records"))
            }
            return .success(count)
        }
    }

    /// How many records the bytes consist of; nil when they do not consist of whole records.
    private static func countRecords(in bytes: Span<UInt8>) -> UInt64? {
        var offset = 0
        var count: UInt64 = 0
        while offset < bytes.count {
            guard let header = try? RecordHeader(parsing: bytes.extracting(offset...)),
                header.recordByteCount <= bytes.count - offset
            else { return nil }
            offset += header.recordByteCount
            count += 1
        }
        return count
    }

    /// Notes that a reservation is filled, and wakes others only if that is what they wait for:
    /// with many appending threads, waking all of them each time costs more than the append.
    func complete(_ reservation: Reservation, _ recordCount: UInt64) -> WriteTask? {
        let (task, isAwaited) = monitor.withLock { state in
            let task = state.complete(reservation, recordCount: recordCount)
            return (task, state.takeFillIsAwaited())
        }
        if isAwaited { monitor.update { _ in } }
        return task
    }

    func reserve(
        _ byteCount: Int, _ purpose: AppendPurpose
    ) throws(SegmentError) -> Reservation {
        while true {
            let reservation = try monitor.wait { (state) throws(SegmentError) -> Reservation?? in
                try state.requireWritable()
                if let reservation = state.reserve(byteCount) { return .some(reservation) }
                return state.beginPreparing() ? .some(nil) : nil
            }
            if let reservation { return reservation }
            defer { monitor.update { $0.endPreparing() } }
            try openBuffer(forAtLeast: byteCount, purpose)
        }
    }
}

// MARK: - Writing

extension LocalSegmentStore {
    /// Does what a change of state has left to this thread, and what follows from that.
    func perform(_ first: WriteTask?) throws(SegmentError) {
        var next = first
        while let task = next {
            next = try latching { () throws(SegmentError) in
                switch task {
                case .write(let buffer): try write(buffer)
                case .seal(let segment): try seal(segment)
                }
            }
        }
    }

    private func write(_ buffer: WriteBuffer) throws(SegmentError) -> WriteTask? {
        try onDisk("writing to the segment \(buffer.segment)") { () throws(DiskError) in
            try buffer.memory.withSpan(0..<buffer.writtenByteCount) { (bytes) throws(DiskError) in
                try buffer.file.write(bytes, at: buffer.fileOffset)
            }
        }
        return monitor.update { $0.finishWriting(buffer.sequence) }
    }

    /// Two syncs, so that a footer on disk proves that everything before it is there as well.
    private func seal(_ segment: WritableSegment) throws(SegmentError) -> WriteTask? {
        try makeDurable(segment)
        let sealed = SealedSegment(
            number: segment.number, endOffset: segment.nextOffset,
            recordCount: segment.recordCount, isRecovered: false)
        try onDisk("sealing the segment \(segment.number)") { () throws(DiskError) in
            // Not closed here: a sync that began before may still be using it. The last reference
            // closes it.
            try SegmentFile.writeFooter(sealed, storeID: directory.storeID, to: segment.file)
        }
        monitor.update { $0.finishSealing(sealed) }
        return nil
    }

    /// Makes the bytes written so far durable, and the name that leads to them.
    func makeDurable(_ segment: WritableSegment) throws(SegmentError) {
        try onDisk("syncing the segment \(segment.number)") { () throws(DiskError) in
            try segment.file.sync()
        }
        if !segment.isNameDurable { try directory.sync() }
    }
}
