#ifndef ATTENTION_CLIENT_CLI_COMMANDS_COMMANDS_H_
#define ATTENTION_CLIENT_CLI_COMMANDS_COMMANDS_H_

#include <ostream>
#include <string>
#include <vector>

#include "client/attention_client.h"
#include "client/cli/views/heat_map.h"

namespace attention::client {

// What the program's exit code tells a script.
enum ExitCode : int {
  kExitOk = 0,
  kExitFailed = 1,  // the server refused the call or failed in it, or its answer cannot be written
  kExitUsage = 2,   // the command line or the file is wrong; nothing was sent
  kExitNoServer = 3,  // nothing answers at the target, or it is not serving
};

// The options of one command, from its flags.
struct CommandOptions {
  ClientOptions client;
  std::string file;                        // attend, encode, explain: a path, or "-" for standard
                                           // input
  std::vector<std::string> more_files;     // attend: other files, sent on one stream with it
  std::vector<std::string> words;          // names of the tokens, instead of the file's; or empty
  std::vector<std::string> arguments;      // layers: the action and its arguments
  bool json = false;                       // attend, encode, layers: protobuf JSON
  std::string save;                        // attend, encode: a file for all tensors (array_file.h),
                                           // instead of the text
  Shading shading = Shading::kCharacters;  // explain
  std::string html;                        // explain: the file for a page, instead of the text
  std::string png;                         // explain: the file for a picture, instead of the text
  bool progress = false;                   // layers upload: a bar on `err`
  std::string service;                     // health: "" for the server as a whole
  bool watch = false;                      // health: print each change
  std::string http;                        // health: HOST:PORT of --metrics_port, which is asked
                                           // instead
};

// Each function runs one command to its end. Results go to `out` and errors to `err`; control
// characters from files and servers are escaped.

// Prints every result as tables, or the response as protobuf JSON with the schema's field names.
// Several files are sent on one stream, and each answer is printed, below the name of its file,
// when it arrives.
ExitCode RunAttend(const CommandOptions& options, std::ostream& out, std::ostream& err);

// Prints the results of a stored encoder in the same way. --words name the tokens.
ExitCode RunEncode(const CommandOptions& options, std::ostream& out, std::ostream& err);

// Runs one of these actions:
//   list                                all stored layers as a table
//   get NAME[@VERSION]                  one layer as protobuf JSON
//   upload NAME FOLDER                  model.safetensors and config.json in that folder
//   upload NAME MODEL CONFIG            these two files
//   create FILE.json                    a CreateLayerRequest in protobuf JSON, or "-"
//   delete NAME[@VERSION]               one version, or all
ExitCode RunLayers(const CommandOptions& options, std::ostream& out, std::ostream& err);

// Prints the heat maps and what each token attends to most, or writes them as a page or a picture.
ExitCode RunExplain(const CommandOptions& options, std::ostream& out, std::ostream& err);

// Prints "SERVING", or why the server is not serving. With `watch`, prints each state when it
// changes, until the server is gone. Every failure is kExitNoServer, except a wrong command line.
ExitCode RunHealth(const CommandOptions& options, std::ostream& out, std::ostream& err);

}  // namespace attention::client

#endif  // ATTENTION_CLIENT_CLI_COMMANDS_COMMANDS_H_
