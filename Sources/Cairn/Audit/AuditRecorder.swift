// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys
internal import Synchronization

/// Takes what is to be recorded, also before the log can be opened: its key is itself wrapped.
final class AuditRecorder: Sendable {
    private enum State {
        case waiting([AuditEvent])
        case open(AuditLog)
    }

    /// Opening a store uses one key.
    private static let waitingCountMax = 16

    /// When each key was used last.
    let uses = KeyUses()
    private let pool: WorkerPool
    private let state = Mutex(State.waiting([]))

    init(pool: WorkerPool) { self.pool = pool }

    /// The log, once it is open.
    var log: AuditLog? {
        state.withLock { state in
            if case .open(let log) = state { log } else { nil }
        }
    }

    /// Writes what has waited, and everything from now on. Blocking.
    func open(_ log: AuditLog) {
        let waiting = state.withLock { state -> [AuditEvent] in
            defer { state = .open(log) }
            if case .waiting(let events) = state { return events }
            return []
        }
        for event in waiting { _ = try? log.append(event, durably: false) }
    }

    /// Records the use of a key.
    ///
    /// A full disk must not make stored blobs unreadable: that an entry could not be written is
    /// itself recorded, as soon as there is room.
    func record(_ event: AuditEvent) async {
        let log = state.withLock { state -> AuditLog? in
            switch state {
            case .open(let log): return log
            case .waiting(let events):
                if events.count < Self.waitingCountMax { state = .waiting(events + [event]) }
                return nil
            }
        }
        guard let log else { return }
        await pool.run { [uses] _ in
            guard let entry = try? log.append(event, durably: false) else { return }
            uses.note(entry)
        }
    }
}

/// A key provider each of whose uses is recorded. What needs no key material is no use, as with
/// AWS KMS's `GetKeyLastUsage`.
struct AuditedProvider: ForwardingKeyProvider {
    let base: any KeyProvider
    let recorder: AuditRecorder
    /// On whose behalf; empty for the store itself.
    var principal = ""

    func generateDataKey(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> DataKey {
        try await recording(.generateDataKey, key, context) { () throws(KeyError) in
            let dataKey = try await base.generateDataKey(under: key, context: context)
            return (dataKey, dataKey.keyID)
        }
    }

    func generateDataKeyWithoutPlaintext(
        under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await recording(
            .generateDataKeyWithoutPlaintext, key, context
        ) { () throws(KeyError) in
            let wrapped = try await base.generateDataKeyWithoutPlaintext(
                under: key, context: context)
            return (wrapped, Keyring.keyID(of: wrapped))
        }
    }

    func encrypt(
        _ plaintext: SecretBytes, under key: KeyReference, context: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await recording(.encrypt, key, context) { () throws(KeyError) in
            let wrapped = try await base.encrypt(plaintext, under: key, context: context)
            return (wrapped, Keyring.keyID(of: wrapped))
        }
    }

    func decrypt(
        _ wrapped: [UInt8], context: EncryptionContext
    ) async throws(KeyError) -> SecretBytes {
        let key = Keyring.keyID(of: wrapped)
        return try await recording(
            .decrypt, key.map(KeyReference.init), context
        ) { () throws(KeyError) in
            (try await base.decrypt(wrapped, context: context), key)
        }
    }

    func reEncrypt(
        _ wrapped: [UInt8], context: EncryptionContext,
        to key: KeyReference, newContext: EncryptionContext
    ) async throws(KeyError) -> [UInt8] {
        try await recording(.reEncrypt, key, newContext) { () throws(KeyError) in
            let rewrapped = try await base.reEncrypt(
                wrapped, context: context, to: key, newContext: newContext)
            return (rewrapped, Keyring.keyID(of: rewrapped))
        }
    }

    // The id, where one is known, and not the alias that led to it then.
    private func recording<R>(
        _ operation: KeyUse.Operation, _ key: KeyReference?, _ context: EncryptionContext,
        _ body: () async throws(KeyError) -> (R, KeyID?)
    ) async throws(KeyError) -> R {
        var event = AuditEvent(
            action: operation.rawValue, key: key?.text ?? "", context: context, principal: principal
        )
        do throws(KeyError) {
            let (result, id) = try await body()
            if let id { event.key = id.text }
            await recorder.record(event)
            return result
        } catch {
            event.outcome = error.code.description
            await recorder.record(event)
            throw error
        }
    }
}
