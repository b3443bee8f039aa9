// Part of Cairn, a content-addressed blob store.
public import Cairn

/// How a command reaches a store, whether or not a server has it open.
public enum AdminConnection {
    /// The name of the admin socket inside the store's directory.
    public static let socketName = "admin.sock"

    /// Opens the store in this process, or asks the server that has it open.
    ///
    /// The store comes first: its lock is what tells whether there is a server, whereas a socket
    /// may be left from a process that was killed.
    ///
    /// - Throws: what opening threw; `storeLocked` when another process has the store open and
    ///   does not answer on the socket.
    public static func open(
        directory: String, unlock: KeyringUnlock = .keyFile(path: nil),
        configuration: StoreConfiguration = .init()
    ) async throws(AdminError) -> any AdminAccess {
        let locked: StoreError
        do throws(StoreError) {
            let store = try await Store.open(
                at: directory, unlock: unlock, configuration: configuration)
            return LocalAccess(store)
        } catch {
            guard error.code == .storeLocked else { throw AdminError(error) }
            locked = error
        }
        let path = directory + "/" + socketName
        // Where no socket can be, no server answers.
        guard AdminClient.isSocketPath(path) else { throw AdminError(locked) }
        let client = try AdminClient(socketPath: path)
        do throws(AdminError) {
            _ = try await client.information()
            return client
        } catch {
            do { try await client.close() } catch {}
            throw error.code == .unreachable ? AdminError(locked) : error
        }
    }
}
