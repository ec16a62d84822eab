// The studio's primitives: pages take everything that is seen from here.
export { Badge, StateBadge, type Tone } from "./Badge";
export { Button, type ButtonProps, IconButton, type IconButtonProps } from "./Button";
export { Checkbox, Combobox, type Option, Select, Switch } from "./Choice";
export { cx } from "./classes";
export { CodeBlock, CopyButton } from "./CodeBlock";
export { Confirm, Dialog, useReturnFocus } from "./Dialog";
export { ErrorBox } from "./ErrorBox";
export { Awaiting, Card, EmptyState, KeyValue, Section, Skeleton } from "./Feedback";
export { Field, Input, SearchInput, Textarea } from "./Field";
export { Kbd } from "./Kbd";
export { ContextMenu, Menu, type MenuItem, Popover } from "./Menu";
export { Split } from "./Split";
export { Table, type TableColumn } from "./Table";
export { type TabItem, Tabs } from "./Tabs";
export { toast, Toaster, toastError } from "./Toast";
export { Tooltip, TooltipProvider } from "./Tooltip";
