"""What the PAI hook, operators, sensors and triggers share: credentials, OSS, and the files of groups."""
