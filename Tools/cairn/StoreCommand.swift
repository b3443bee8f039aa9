// Part of Cairn, a content-addressed blob store.
internal import ArgumentParser
internal import Cairn
internal import CairnServer

/// A command on a store.
///
/// Failures are printed and become exit codes in one place.
protocol StoreCommand: AsyncParsableCommand {
    /// The options that all commands share.
    var options: StoreOptions { get }

    /// Does what the command is for.
    func perform() async throws
}

extension StoreCommand {
    /// Performs the command and ends the process with the exit code of its failure, if any.
    func run() async throws {
        do {
            try await perform()
        } catch {
            let failure = Failure(error, bucketStore: options.directory)
            failure.print(asJSON: options.json)
            throw ExitCode(failure.exitCode)
        }
    }

    /// Calls `body` with access to the store, in this process or through the server that has it
    /// open, and ends the access afterwards.
    ///
    /// - Parameter unlock: what opens the store; nil asks the options.
    func withAccess<Result>(
        unlock: KeyringUnlock? = nil,
        _ body: (any AdminAccess) async throws -> Result
    ) async throws -> Result {
        let unlock = if let unlock { unlock } else { try options.unlock() }
        let access = try await options.connect(unlock)
        let result: Result
        do {
            result = try await body(access)
        } catch {
            // The first failure is the one to report.
            try? await access.close()
            throw error
        }
        try await access.close()
        return result
    }
}
