// Part of Cairn, a content-addressed blob store.

internal import CairnCore
internal import CairnKeys

/// The token of one provider, for all its threads. Thread-safe; calls block.
final class Token: Sendable {
    private let load: @Sendable () throws(KeyError) -> Library
    private let label: String
    private let credentials: Credentials
    // Held while the module is acquired: one of the threads does that for all.
    private let module = Monitor<Module?>(nil)

    /// - Parameter load: Gives the library; tests give one with faults.
    init(
        label: String, pin: PKCS11PIN, load: @escaping @Sendable () throws(KeyError) -> Library
    ) {
        self.load = load
        self.label = label
        credentials = Credentials(pin)
    }

    /// Opens a session that is logged in; the first one initialises the library.
    func makeSession() throws(KeyError) -> TokenSession {
        let module = try acquire()
        let slot = try module.slot(ofToken: label)
        try module.checkMechanisms(slot)
        let session = try TokenSession(module, slot: slot)
        try module.logIn(session, with: credentials)
        return session
    }

    /// Gives up the library, after the last session was closed.
    func release() {
        let last = module.withLock { module in
            defer { module = nil }
            return module
        }
        last?.release()
    }

    private func acquire() throws(KeyError) -> Module {
        try module.withLock { module throws(KeyError) in
            if let module { return module }
            let acquired = try Module.acquire(load())
            module = acquired
            return acquired
        }
    }
}

/// What a thread has of the token: a session when there is one, and another one when it is lost.
///
/// Belongs to its thread.
final class TokenWorker {
    private let token: Token
    private var session: TokenSession?

    init(_ token: Token) { self.token = token }

    /// Runs `body` with a session.
    ///
    /// A session that turns out to be lost is reopened, once, and `body` runs again unless it has
    /// changed something: its effects would come twice.
    func perform<Result>(
        _ body: (TokenSession) throws(KeyError) -> Result
    ) throws(KeyError) -> Result {
        do throws(KeyError) {
            return try attempt(body)
        } catch {
            guard let failure = error.cause as? CryptokiFailure, failure.losesSession,
                !hasWritten
            else { throw error }
            return try attempt(body)
        }
    }

    /// Closes the session.
    func disconnect() { session = nil }

    // MARK: -

    private var hasWritten = false

    private func attempt<Result>(
        _ body: (TokenSession) throws(KeyError) -> Result
    ) throws(KeyError) -> Result {
        hasWritten = false
        let current = if let session { session } else { try token.makeSession() }
        session = current
        current.hasWritten = false
        do throws(KeyError) {
            return try body(current)
        } catch {
            hasWritten = current.hasWritten
            // What has failed in a session may still be under way in it, so that nothing else
            // could begin.
            if error.cause is CryptokiFailure { disconnect() }
            throw error
        }
    }
}
