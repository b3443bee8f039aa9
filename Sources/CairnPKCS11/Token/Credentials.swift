// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys

/// The PIN of one provider, presented again only as long as the token has not refused it.
///
/// Tokens lock themselves after a few wrong PINs, some for good. Sessions are reopened without
/// asking anyone, so a PIN that was refused once (it may have been changed meanwhile) ends the
/// provider. Thread-safe.
final class Credentials: Sendable {
    private let pin: PKCS11PIN
    private let refusal = Monitor<KeyError?>(nil)

    init(_ pin: PKCS11PIN) { self.pin = pin }

    func readPIN() throws(KeyError) -> SecretBytes {
        let bytes =
            switch pin {
            case .bytes(let bytes): bytes
            case .source(let read): try read()
            }
        guard (1...PKCS11PIN.byteCountMax).contains(bytes.byteCount) else {
            throw KeyError(.invalidArgument, "a PIN has 1 to \(PKCS11PIN.byteCountMax) bytes")
        }
        return bytes
    }

    /// Remembers an error if it says that the PIN is wrong.
    func noteRefusal(_ error: KeyError) {
        guard error.code == .wrongPassphrase else { return }
        refusal.withLock { $0 = error }
    }

    func checkNotRefused() throws(KeyError) {
        guard let error = refusal.withLock({ $0 }) else { return }
        throw error
    }
}
