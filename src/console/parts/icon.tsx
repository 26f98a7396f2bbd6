/** Small drawings, all on the same grid of 20 with the same line. They say nothing by themselves: a text stands beside each. */

const lines = {
  overview: 'M3 10.5 10 4l7 6.5M5 9v7h10V9M8.5 16v-4h3v4',
  access:
    'M8 11a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM2.5 17c.4-3 2.5-4.5 5.5-4.5 1 0 2 .2 2.7.6M15 10.5v6M12.5 14H17.5',
  audit: 'M5 3h7l3 3v11H5ZM12 3v3h3M7.5 10h5M7.5 13h5',
  sun: 'M10 13a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM10 2v2M10 16v2M2 10h2M16 10h2M4.3 4.3l1.5 1.5M14.2 14.2l1.5 1.5M4.3 15.7l1.5-1.5M14.2 5.8l1.5-1.5',
  moon: 'M16 11.5A6.5 6.5 0 0 1 8.5 4a6.5 6.5 0 1 0 7.5 7.5Z',
  system: 'M3 4h14v9H3ZM7 16.5h6M10 13v3.5',
  leave: 'M8 4H4v12h4M11.5 6.5 15 10l-3.5 3.5M15 10H7.5',
  copy: 'M7 7h9v9H7ZM4 13V4h9',
  done: 'M4 10.5 8 14.5 16 6',
  good: 'M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15ZM6.7 10.3 9 12.5l4.3-4.7',
  warn: 'M10 3 18 16.5H2ZM10 8.5v3.5M10 14.2v.1',
  bad: 'M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15ZM10 6v5M10 13.7v.1',
  info: 'M10 17.5a7.5 7.5 0 1 0 0-15 7.5 7.5 0 0 0 0 15ZM10 9.5V14M10 6.5v.1',
  next: 'M8 5l5 5-5 5',
  plus: 'M10 4v12M4 10h12',
  person: 'M10 10.5a3.5 3.5 0 1 0 0-7 3.5 3.5 0 0 0 0 7ZM3.5 17c.5-3 2.8-4.5 6.5-4.5s6 1.5 6.5 4.5',
  key: 'M6.5 13.5a3 3 0 1 0 0-6 3 3 0 0 0 0 6ZM9.5 10.5H17v3M14 10.5v2.5',
  router: 'M3 11h14v5H3ZM6 13.5v.1M9 13.5v.1M10 8V4M7 6.5 10 3.5l3 3',
  server: 'M4 3.5h12v5.5H4ZM4 11h12v5.5H4ZM7 6.2v.1M7 13.7v.1',
  connection: 'M3 10h14M13 6l4 4-4 4M7 6l-4 4 4 4',
  administration: 'M3.5 5h13v10h-13ZM3.5 8h13M6 11.5h4',
  coordinator:
    'M10 3v4M10 13v4M4 6.5l3 2M13 11.5l3 2M4 13.5l3-2M13 8.5l3-2M10 12.5a2.5 2.5 0 1 0 0-5 2.5 2.5 0 0 0 0 5Z',
  upgrade: 'M10 16.5V5M5 9.5 10 4.5l5 5',
  search: 'M9 14.5a5.5 5.5 0 1 0 0-11 5.5 5.5 0 0 0 0 11ZM13 13l4 4',
} as const;
export type IconName = keyof typeof lines;

export function Icon({ name, size = 20 }: { name: IconName; size?: number }) {
  return (
    <svg
      aria-hidden="true"
      width={size}
      height={size}
      viewBox="0 0 20 20"
      fill="none"
      stroke="currentColor"
      strokeWidth="1.5"
      strokeLinecap="round"
      strokeLinejoin="round"
    >
      <path d={lines[name]} />
    </svg>
  );
}

export function isIcon(name: string): name is IconName {
  return name in lines;
}

/** The mark of Bramble. */
export function Mark({ size = 26 }: { size?: number }) {
  return (
    <svg aria-hidden="true" width={size} height={size} viewBox="0 0 32 32">
      <g fill="var(--accent-fill)">
        <circle cx="11" cy="13" r="4.6" />
        <circle cx="21" cy="13" r="4.6" />
        <circle cx="16" cy="20.5" r="4.6" />
        <circle cx="8.5" cy="20" r="3.6" />
        <circle cx="23.5" cy="20" r="3.6" />
        <circle cx="16" cy="27.5" r="3.4" />
      </g>
      <circle cx="16" cy="14.5" r="4.2" fill="#c9569a" />
      <path
        d="M16 9.5c-.4-3.2 1-5.8 4.4-7.3-.2 3.4-1.6 5.8-4.4 7.3zM15.6 9.5c-2.4-.3-4.3-1.6-5.4-4 2.7-.3 4.6 1 5.4 4z"
        fill="#2f8f5b"
      />
    </svg>
  );
}
