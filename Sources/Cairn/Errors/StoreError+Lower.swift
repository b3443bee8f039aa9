// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnIndex
internal import CairnKeys
internal import CairnSegments

// Errors of the layers below are translated here and nowhere else.
extension StoreError {
    init(_ error: CoreError, while doing: String) {
        let code: Code =
            switch error.code {
            case .digestInvalid: .digestInvalid
            case .limitExceeded: .limitExceeded
            case .unsupportedVersion: .formatTooNew
            case .invalidArgument: .invalidArgument
            default: .corrupted
            }
        self.init(code, doing, cause: error)
    }

    init(_ error: SegmentError, while doing: String) {
        let code: Code =
            switch error.code {
            case .outOfSpace: .outOfSpace
            case .readOnly: .readOnly
            case .corrupted, .locationInvalid, .segmentUnknown: .corrupted
            case .limitExceeded: .limitExceeded
            case .closed: .closed
            case .unsupportedVersion: .formatTooNew
            default: .io
            }
        self.init(code, doing, cause: error)
    }

    /// Whether a location led to a segment that is not there: damage, or the chunk was moved since
    /// it was looked up.
    var isSegmentGone: Bool { (cause as? SegmentError)?.code == .segmentUnknown }

    init(_ error: DiskError, while doing: String) {
        let code: Code =
            switch error.code {
            case .outOfSpace: .outOfSpace
            case .readOnly: .readOnly
            case .locked: .storeLocked
            case .notRegularFile: .corrupted
            default: .io
            }
        self.init(code, code == .storeLocked ? "\(doing): \(error.message)" : doing, cause: error)
    }

    init(_ error: IndexError, while doing: String) {
        let code: Code =
            switch error.code {
            case .outOfSpace: .outOfSpace
            case .readOnly: .readOnly
            // Only what must be there is asked for: an index that is missing is damage.
            case .corrupted, .notFound: .corrupted
            case .closed: .closed
            case .limitExceeded: .limitExceeded
            case .unsupportedVersion: .formatTooNew
            default: .io
            }
        self.init(code, doing, cause: error)
    }

    /// Whether a customer key stands before what was asked for, and nothing is wrong with that.
    var isLock: Bool { code == .keyDisabled || code == .keyUnknown }

    init(_ error: KeyError, while doing: String) {
        let code: Code =
            switch error.code {
            case .wrongPassphrase: .wrongPassphrase
            case .invalidArgument: .invalidArgument
            case .corrupted, .integrity: .corrupted
            case .unsupportedVersion: .formatTooNew
            case .keyDisabled: .keyDisabled
            case .keyNotFound: .keyUnknown
            case .aliasExists: .aliasExists
            case .accessDenied: .accessDenied
            case .limitExceeded: .limitExceeded
            default: .keyUnavailable
            }
        // Which key, and what to do: of use to every caller.
        self.init(code, "\(doing): \(error.message)", cause: error)
    }
}

// Runs a call of a lower layer and translates what it throws.
func lower<R: ~Copyable>(
    _ doing: @autoclosure () -> String, core body: () throws(CoreError) -> R
) throws(StoreError) -> R {
    do throws(CoreError) { return try body() } catch { throw StoreError(error, while: doing()) }
}

func lower<R: ~Copyable>(
    _ doing: @autoclosure () -> String, index body: () throws(IndexError) -> R
) throws(StoreError) -> R {
    do throws(IndexError) { return try body() } catch { throw StoreError(error, while: doing()) }
}

func lower<R: ~Copyable>(
    _ doing: @autoclosure () -> String, segments body: () throws(SegmentError) -> R
) throws(StoreError) -> R {
    do throws(SegmentError) { return try body() } catch { throw StoreError(error, while: doing()) }
}

func lower<R: ~Copyable>(
    _ doing: @autoclosure () -> String, disk body: () throws(DiskError) -> R
) throws(StoreError) -> R {
    do throws(DiskError) { return try body() } catch { throw StoreError(error, while: doing()) }
}

func lower<R: ~Copyable>(
    _ doing: @autoclosure () -> String, keys body: () throws(KeyError) -> R
) throws(StoreError) -> R {
    do throws(KeyError) { return try body() } catch { throw StoreError(error, while: doing()) }
}
