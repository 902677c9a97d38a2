//! What a deployment will do: pure, from the record, what is there, and the build.
