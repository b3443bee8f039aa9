// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys
internal import CairnSegments
internal import Synchronization

/// The keyring of an open store: the file, and the keyring as it is now.
final class KeyringHolder: Sendable {
    private let disk: any Disk
    private let keyring: Mutex<Keyring>
    private let changing = Mutex(())

    init(_ keyring: Keyring, _ disk: any Disk) {
        self.disk = disk
        self.keyring = Mutex(keyring)
    }

    var current: Keyring { keyring.withLock { $0 } }

    /// Puts a successor in place, durably. Blocking; changes wait for each other.
    ///
    /// - Parameters:
    ///   - body: the successor; nil changes nothing.
    ///   - prepare: called when there is a successor, before it takes effect.
    func change<R: Sendable>(
        _ body: (Keyring) throws(KeyError) -> (successor: Keyring?, result: R),
        preparedBy prepare: (R) throws(StoreError) -> Void
    ) throws(StoreError) -> R {
        try changing.withLock { (_) throws(StoreError) in
            let now = current
            let (successor, result) = try lower(
                "changing the keyring", keys: { () throws(KeyError) in try body(now) })
            guard let successor else { return result }
            let bytes = try lower(
                "changing the keyring", keys: { () throws(KeyError) in try successor.encoded() })
            try prepare(result)
            // Before it is used: what it wraps must not be lost with the process.
            try lower(
                "writing the keyring",
                disk: { () throws(DiskError) in
                    try disk.replace(StoreFormat.keyring, with: bytes.span)
                })
            keyring.withLock { $0 = successor }
            return result
        }
    }
}

extension KeyringHolder: ForwardingKeyProvider {
    var base: any KeyProvider { current }
}
